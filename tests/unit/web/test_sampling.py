"""Reading the engines for the API: bounds of stream time, and walks that let the worker's tasks run."""

from __future__ import annotations

import asyncio

import pytest

from app.web import sampling
from tests.unit.test_table_views import T0, engine_of


@pytest.mark.parametrize("scope", ["broker", "symbol"])
def test_a_broker_that_stands_still_is_seen_beside_one_that_goes_on(scope: str) -> None:
    engine = engine_of([(T0, "still|x"), (T0 + 30_000, "quick|x")], scope)
    assert sampling.stream_time_bounds(engine) == (T0, T0 + 30_000)


@pytest.mark.parametrize("scope", ["broker", "symbol", "partition"])
def test_without_a_tick_there_are_no_bounds(scope: str) -> None:
    assert sampling.stream_time_bounds(engine_of([], scope)) is None


async def test_a_large_wheel_is_walked_in_steps_between_which_other_tasks_run() -> None:
    engine = engine_of([(T0 + number, f"A|x{number}") for number in range(5 * sampling.CHUNK)], "symbol")
    steps = 0

    async def others() -> None:
        nonlocal steps
        while True:
            await asyncio.sleep(0)
            steps += 1

    task = asyncio.ensure_future(others())
    found = await sampling.wheel_partition(0, engine)
    task.cancel()
    assert steps >= 4
    assert found.entries >= 5 * sampling.CHUNK
    assert len(found.due) == sampling.DUE_SHOWN
    assert [one.due for one in found.due] == sorted(one.due for one in found.due)
