"""How a recovery goes on from an input that was created again, and ends when it was given up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from agents.recovery import stop_if_given_up
from app.settings.types import Delivery, ScopeKind
from tests.simulation.partition import Simulation
from tests.simulation.steps import NEXT_WINDOW, TICK


async def _made_anew(scope: ScopeKind) -> Simulation:
    """Ten ticks are in the checkpoint, a bar was published after it, and then the input is emptied."""
    simulation = Simulation(scope, Delivery.idempotent)
    await simulation.restart()
    for _ in range(10):
        simulation.tick(*TICK[1:])
    await simulation.read(10)
    await simulation.checkpoint(None)
    simulation.tick(*NEXT_WINDOW[1:])
    await simulation.read(1)
    while simulation.wire.deliver():
        pass
    simulation.log.clear()
    await simulation.restart()
    return simulation


@pytest.mark.parametrize("scope", list(ScopeKind))
def test_after_an_input_that_was_made_anew_checkpoints_are_made_from_its_first_record_on(scope: ScopeKind) -> None:
    async def checkpoints() -> None:
        simulation = await _made_anew(scope)
        assert simulation.partition.consumed_to == 0
        await simulation.restart()  # before anything is read: the new position is in the changelog
        for _ in range(20):
            simulation.tick(*TICK[1:])
        await simulation.restart()
        assert simulation.partition.consumed_to == 0, "the records below the old position would be passed over"
        await simulation.read(2)
        await simulation.checkpoint(None)
        assert simulation.partition.checkpointed_to == 2
        await simulation.finish()
        finals = simulation.topics.committed(simulation.settings.finals_topic)
        assert len({row.key for row in finals}) == len(finals)

    asyncio.run(checkpoints())


async def test_a_recovery_ends_when_it_was_given_up_even_where_a_client_kept_that_to_itself() -> None:
    waiting = asyncio.Event()

    async def recovery() -> None:
        with contextlib.suppress(asyncio.CancelledError):  # as a client may do
            waiting.set()
            await asyncio.Event().wait()
        stop_if_given_up()

    task = asyncio.ensure_future(recovery())
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
