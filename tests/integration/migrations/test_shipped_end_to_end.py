"""The shipped plan on the stand-in, by the steps that `tests/e2e` takes on a real server."""

from __future__ import annotations

from tests.e2e.shipped import run_through
from tests.support.worker import Worker


def test_the_shipped_plan_is_applied_adopted_swapped_rolled_back_and_retired(worker: Worker) -> None:
    assert worker.run("topics").returncode == 0
    run_through(worker)
