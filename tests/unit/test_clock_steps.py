"""A clock that was wrong is remembered: by the position, the counters after a restart, and `app doctor`."""

from __future__ import annotations

import asyncio
from typing import Any

from app.operations.stored_state import _problem
from app.settings.types import Delivery, ScopeKind
from tests.simulation.partition import Simulation
from tests.simulation.topics import ListReader

DAY = 86_400_000


async def after(*clocks: int) -> Simulation:
    simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent)
    await simulation.restart()
    for ahead in clocks:
        simulation.clock(ahead, 0)
        await simulation.read(1)
    await simulation.checkpoint(None)
    await simulation.restart()
    return simulation


def problem(simulation: Simulation) -> Any:
    reader: Any = ListReader(simulation.topics)
    return asyncio.run(_problem(reader, simulation.settings, 0, 1, simulation.identity))


def test_a_clock_that_was_left_behind_is_counted_after_a_restart_and_named_by_doctor() -> None:
    simulation = asyncio.run(after(DAY, 0, DAY, 0))
    assert simulation.partition.engine.clock_steps == 2
    found = problem(simulation)
    assert not found.stops
    assert found.text == (
        "partition 0: a clock was more than a minute ahead, a broker's or a worker's, and was left behind (times: 2)"
    )


def test_nothing_is_said_of_clocks_that_were_right() -> None:
    simulation = asyncio.run(after(0, 0))
    assert simulation.partition.engine.clock_steps == 0
    assert problem(simulation) is None
