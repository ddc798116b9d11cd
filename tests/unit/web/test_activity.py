"""The last hour in steps, of one worker and of several, and the quantiles of how late its bars were."""

from __future__ import annotations

import pytest

from agents.metrics import Metrics
from app.web.activity import EVERY_MS, STEPS, Activity, Step, added, grown, quantile

T0 = 1_800_000_000_000
BOUNDS = (0.1, 0.2, 0.4)


def test_a_step_has_what_was_done_since_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, read = Metrics(), {0: 1_000}
    activity = Activity(metrics, lambda: dict(read), lambda: 7)
    activity.measure(T0)
    read.update({0: 1_400, 1: 90_000})  # partition 1 has come from another worker
    activity.look()
    read.update({0: 1_600, 1: 90_050, 2: 5})
    metrics.bars["watermark"] += 3
    metrics.due_to_bar.add(0.03, 3)
    activity.measure(T0 + EVERY_MS + 40)  # a little late
    monkeypatch.setattr("app.web.activity.now_ms", lambda: T0 + EVERY_MS)
    step = activity.steps[-1]
    assert (step.start, step.read, step.bars, step.lag, sum(step.late)) == (T0, 650, 3, 7, 3)
    monkeypatch.setattr("app.web.activity.now_ms", lambda: T0 + (STEPS + 1) * EVERY_MS)
    assert activity.steps == []


def test_a_count_that_begins_anew_has_not_grown() -> None:
    assert grown({0: 10, 1: 10}, {0: 15, 1: 3, 2: 99}) == 5


def test_the_steps_of_several_workers_are_added_by_their_time() -> None:
    one = [Step(0, 1, 2, 3, (1, 0)), Step(EVERY_MS, 1, 1, 1, (0, 1))]
    assert added([*one, Step(EVERY_MS, 10, 20, 30, (2, 2))]) == [Step(0, 1, 2, 3, (1, 0)), Step(EVERY_MS, 11, 21, 31, (2, 3))]


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ((0, 0, 0, 0), 0.5, None),
        ((4, 0, 0, 0), 0.5, 0.05),
        ((0, 4, 0, 0), 0.5, 0.15),
        ((2, 2, 0, 0), 0.99, 0.198),
        ((1, 0, 1, 0), 0.5, 0.1),
        ((0, 0, 0, 5), 0.99, 0.4),
        ((99, 0, 1, 0), 0.99, 0.1),
    ],
)
def test_a_quantile_is_estimated_within_its_bucket(counts: tuple[int, ...], share: float, value: float | None) -> None:
    found = quantile(BOUNDS, counts, share)
    assert found == (None if value is None else pytest.approx(value))
