"""Random faults on CreateTime topics; and the judge detects a worker that breaks a rule of delivery."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.kinds import Kind
from tests.chaos.options import Options
from tests.integration.test_chaos import assert_lively, outcome_of


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
def test_no_window_is_lost_repeated_or_wrong_on_a_create_time_topic(delivery: str, tmp_path: Path) -> None:
    kinds = frozenset({Kind.kill, Kind.stop, Kind.add, Kind.broker})  # the quick ones; `python -m tests.chaos` has all
    options = Options(faults=6, seed=7, delivery=delivery, timestamps="create", kinds=kinds, keep=tmp_path)
    outcome = outcome_of(options)
    assert outcome.verdict.violations == [], f"again with: {options.command}; logs: {tmp_path}"
    assert_lively(outcome)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "timestamps", "verdict", "checkpoint_ms", "faults"),
    [
        # a kill must find windows that are older than the last checkpoint
        pytest.param("without-states", "append", "a wrong bar", 200, 4, id="without-states"),
        # a kill must find bars that are newer than the last checkpoint
        pytest.param("without-tail", "append", "published twice", 60_000, 4, id="without-tail"),
        pytest.param("hasty-timer", "create", "closed by the timer although", 500, 1, id="hasty-timer"),
    ],
)
def test_workers_that_break_a_rule_of_delivery_are_found_out(
    rule: str, timestamps: str, verdict: str, checkpoint_ms: int, faults: int, tmp_path: Path
) -> None:
    kills = frozenset({Kind.kill})
    options = Options(
        faults=faults,
        seed=3,
        timestamps=timestamps,
        workers=1,
        kinds=kills,
        keep=tmp_path,
        broken=rule,
        checkpoint_ms=checkpoint_ms,
    )
    outcome = outcome_of(options)
    assert any(violation.startswith(verdict) for violation in outcome.verdict.violations), outcome.verdict.violations
