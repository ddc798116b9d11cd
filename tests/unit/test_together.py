"""Coroutines that run at the same time: what an error, or a cancellation, does to them and to the task that waits."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from app.together import run_together


class Work:
    """Coroutines that note how they end."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.never = asyncio.Event()

    async def wait(self, name: str, steps: int = 0) -> None:
        """Wait for ever. It takes some more steps to end when it is cancelled."""
        try:
            await self.never.wait()
        finally:
            for _ in range(steps):
                await asyncio.sleep(0)
            self.ended.append(name)

    async def fail(self, error: Exception) -> None:
        await asyncio.sleep(0)
        raise error


async def test_an_error_ends_the_others_and_does_not_mark_the_caller_as_cancelled() -> None:
    work, caller = Work(), asyncio.current_task()
    assert caller is not None
    with pytest.raises(OSError, match="gone"):
        await run_together([work.wait("slow", steps=5), work.fail(OSError("gone")), work.wait("fast")])
    assert sorted(work.ended) == ["fast", "slow"]
    assert caller.cancelling() == 0


async def test_the_first_error_is_raised_and_the_others_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()

    async def fails_while_it_ends() -> None:
        try:
            await work.never.wait()
        finally:
            raise RuntimeError("second")

    with pytest.raises(OSError, match="first"):
        await run_together([fails_while_it_ends(), work.fail(OSError("first"))])
    assert not caplog.records


@pytest.mark.parametrize("cancellations", [1, 3])
async def test_a_cancellation_returns_when_all_have_ended_however_often_it_comes(cancellations: int) -> None:
    work = Work()
    caller = asyncio.create_task(run_together([work.wait("slow", steps=5), work.wait("fast")]))
    await asyncio.sleep(0)
    for _ in range(cancellations):
        caller.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert sorted(work.ended) == ["fast", "slow"]


async def test_one_that_is_cancelled_from_inside_has_ended_and_the_others_go_on() -> None:
    done: list[int] = []

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def works() -> None:
        await asyncio.sleep(0)
        done.append(1)

    await run_together([cancelled(), works()])
    assert done == [1]


async def test_errors_of_those_that_are_ended_by_a_cancellation_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails_while_it_ends() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("it could not be closed")

    caller = asyncio.create_task(run_together([fails_while_it_ends()]))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    gc.collect()
    assert not caplog.records


async def test_those_that_were_begun_end_when_the_next_one_cannot_be_made() -> None:
    work = Work()

    def made() -> Iterator[Coroutine[Any, Any, None]]:
        yield work.wait("first")
        raise LookupError("there is no second")

    before = asyncio.all_tasks()
    with pytest.raises(LookupError):
        await run_together(made())
    assert asyncio.all_tasks() == before


async def test_nothing_to_do_returns_at_once() -> None:
    await run_together([])
