"""What waits to be published is published after one interval: after a fetch, and by the timer where no record comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.checkpoint_pacing import CheckpointPacing
from agents.task import PartitionTask
from agents.tasks import TaskManager
from app.kafka.fetcher import Head
from app.kafka.slices import Slice
from app.settings import Settings

INTERVAL = 1.0


class Waiting:
    """A partition with something to publish, and so many states that a checkpoint is never worth them."""

    number = 0
    states_due = 1 << 40
    checkpoint_began = publication_began = 0.0

    def __init__(self) -> None:
        self.publication_waits = False
        self.checkpoints = 0
        self.while_working: Callable[[], None] = lambda: None

    async def feed(self, _part: Slice) -> None:
        self.publication_waits = True
        self.while_working()

    async def tick(self, _head: Head) -> None:
        self.publication_waits = True  # a window has closed by idling
        self.while_working()

    async def checkpoint(self) -> int:
        self.checkpoints += 1
        return 1


@pytest.fixture
def now() -> list[float]:
    return [INTERVAL]


@pytest.fixture
def manager(now: list[float]) -> TaskManager:
    async def crash(error: BaseException) -> None:
        raise error

    manager = TaskManager(Settings.load(), crash)
    manager._pacing = manager._checkpoints._pacing = CheckpointPacing(INTERVAL, lambda: now[0])
    manager._taking = True
    heads = {(manager.settings.ticks_topic, 0): Head(1, 0)}
    manager.consumer = cast("Any", SimpleNamespace(heads=lambda: heads, refusals=lambda: 0))
    return manager


def give(manager: TaskManager, task: Waiting) -> PartitionTask:
    given = cast("PartitionTask", task)
    manager._tasks = {0: given}
    return given


async def process(manager: TaskManager, task: PartitionTask, *, by_timer: bool) -> None:
    if by_timer:
        await manager.tick()
    else:
        await manager.feed(Slice(0, task, [], 0))
    await asyncio.gather(*manager._checkpoints._early.values())


@pytest.mark.parametrize("by_timer", [False, True])
async def test_a_fetch_or_the_timer_begins_a_checkpoint_once_the_interval_has_passed(
    manager: TaskManager, now: list[float], *, by_timer: bool
) -> None:
    task = Waiting()
    given = give(manager, task)
    now[0] = 0.99 * INTERVAL
    await process(manager, given, by_timer=by_timer)
    assert task.checkpoints == 0
    now[0] = INTERVAL
    await process(manager, given, by_timer=by_timer)
    assert task.checkpoints == 1


async def test_the_timer_of_the_interval_does_not_leave_out_what_waits(manager: TaskManager) -> None:
    task = Waiting()
    give(manager, task)
    await manager.checkpoint()
    assert task.checkpoints == 0
    task.publication_waits = True
    await manager.checkpoint()
    assert task.checkpoints == 1


@pytest.mark.parametrize("by_timer", [False, True])
async def test_a_partition_that_was_given_away_meanwhile_is_not_checkpointed(manager: TaskManager, *, by_timer: bool) -> None:
    task = Waiting()
    task.while_working = manager.release
    await process(manager, give(manager, task), by_timer=by_timer)
    assert task.checkpoints == 0
