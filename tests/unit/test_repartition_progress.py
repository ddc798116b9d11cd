"""Silence counts only once what had arrived in the sources is copied."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.repartition_progress import RepartitionProgress, SourceProgress
from agents.tasks import TaskManager
from app.kafka.clock import steady_ms
from app.kafka.fetcher import Head
from app.settings import Settings
from tests.unit.test_early_checkpoints import Waiting, give


def test_silence_counts_once_the_end_of_each_source_was_reached() -> None:
    progress = RepartitionProgress("recovering")
    assert progress.settled_since() is None
    progress.state = "running"
    first, second = progress.sources["t", 0], progress.sources["t", 1] = SourceProgress(5), SourceProgress(0)
    first.reached(5, 9)
    second.reached(0, None)  # not fetched yet
    assert progress.settled_since() is None
    first.reached(9, 9)
    assert progress.settled_since() is None
    before = steady_ms()
    second.reached(0, 0)
    since = progress.settled_since()
    assert since is not None
    assert before < since <= steady_ms() + 1
    first.reached(9, 12)  # new ticks come all the time
    assert progress.settled_since() == since
    assert (progress.lag, first.lag) == (3, 3)


def test_after_an_error_or_another_assignment_it_counts_anew() -> None:
    progress = RepartitionProgress("running")
    assert progress.settled_since() is not None  # a worker without a source has nothing to wait for
    progress.state = "waiting"
    assert progress.settled_since() is None
    progress.state = "running"
    progress.sources["t", 0] = SourceProgress(3)
    assert progress.settled_since() is None


@pytest.mark.parametrize("repartition", [False, True])
async def test_the_wheel_is_turned_by_heads_that_were_asked_for_when_all_was_copied(*, repartition: bool) -> None:
    async def crash(error: BaseException) -> None:
        raise error

    manager = TaskManager(Settings.load(repartition=repartition, broker=""), crash)
    manager._taking = True
    heads: dict[Any, Head] = {}
    manager.consumer = cast("Any", SimpleNamespace(heads=lambda: heads, refusals=lambda: 0, silence=lambda: 0.0))
    task, place = Waiting(), (manager.settings.input_topic, 0)
    give(manager, task)

    async def turned() -> bool:
        task.publication_waits = False
        await manager.tick()
        return task.publication_waits

    heads[place] = Head(1, steady_ms())
    assert await turned() is not repartition
    if manager.repartitioner is not None:
        manager.repartitioner.progress.state = "running"
        assert not await turned(), "this head is older than the last copy may be"
        heads[place] = Head(1, steady_ms() + 2)
        assert await turned()
        assert manager.readiness()["repartition"] == {"state": "running", "partitions": 0, "lag": 0}
