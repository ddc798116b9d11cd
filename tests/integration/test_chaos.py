"""Faults at random moments, and every tick is accounted for; and a worker that breaks a rule is found out.

More of it, with other seeds: `python -m tests.chaos --faults 200 --seed 1`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.options import Kind, Options
from tests.chaos.run import Outcome, run
from tests.support.kafka import kafka_required, kafka_unavailable

IN_CI = bool(os.environ.get("CI"))


def outcome_of(options: Options) -> Outcome:
    """Run it; what happened is in the output of a test that fails."""
    return run(options, print)


def skip_without(broker: str) -> None:
    if broker == "kafka":
        if not IN_CI:
            pytest.skip("on Apache Kafka in CI only (CI=1): it takes a minute and a half a delivery mode")
        reason = kafka_unavailable(own=True)
        if reason is not None and kafka_required():
            pytest.fail(reason)  # asked for by name: skipping would let a run look green that tested nothing
        if reason is not None:
            pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
@pytest.mark.parametrize("broker", ["pocket", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_no_window_is_lost_repeated_or_wrong_through_random_faults(broker: str, delivery: str, tmp_path: Path) -> None:
    skip_without(broker)
    options = Options(faults=15 if IN_CI else 10, seed=7, broker=broker, delivery=delivery, keep=tmp_path)
    outcome = outcome_of(options)
    verdict = outcome.verdict
    assert verdict.violations == [], f"again with: {options.command}; logs: {tmp_path}"
    assert sum(outcome.faults.values()) == options.faults
    assert set(outcome.faults) == set(Kind)
    assert min(verdict.windows, verdict.late, verdict.rejected, verdict.heartbeats, verdict.idle) > 0
    assert verdict.idle < verdict.windows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "verdict"),
    [("without-states", "a wrong bar"), ("without-tail", "published twice")],
)
def test_workers_that_break_a_rule_of_delivery_are_found_out(rule: str, verdict: str, tmp_path: Path) -> None:
    options = Options(faults=2, seed=3, workers=1, kinds=frozenset({Kind.kill}), keep=tmp_path, broken=rule)
    outcome = outcome_of(options)
    assert any(violation.startswith(verdict) for violation in outcome.verdict.violations), outcome.verdict.violations
