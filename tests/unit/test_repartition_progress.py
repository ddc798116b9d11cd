"""Silence counts only once what had arrived in the sources is copied."""

from __future__ import annotations

from agents.repartition_progress import RepartitionProgress, SourceProgress
from app.kafka.clock import steady_ms


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
    assert before <= since <= steady_ms()
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
