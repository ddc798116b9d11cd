"""Random faults lose no tick and repeat no bar.

A longer run with another seed: `python -m tests.chaos --faults 200 --seed 1`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.options import Options
from tests.chaos.run import Outcome, run
from tests.support.kafka import kafka_required, kafka_unavailable

IN_CI = bool(os.environ.get("CI"))


def outcome_of(options: Options) -> Outcome:
    """Run it; a failed test shows the printed lines."""
    return run(options, print)


def skip_without(broker: str) -> None:
    if broker == "kafka":
        if not IN_CI:
            pytest.skip("on Apache Kafka in CI only (CI=1): it takes a minute and a half a delivery mode")
        reason = kafka_unavailable(own=True)
        if reason is not None and kafka_required():
            pytest.fail(reason)  # Kafka was requested: a skip would hide that nothing ran
        if reason is not None:
            pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
@pytest.mark.parametrize("broker", ["pocket", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_no_window_is_lost_repeated_or_wrong_through_random_faults(broker: str, delivery: str, tmp_path: Path) -> None:
    skip_without(broker)
    options = Options(faults=11, seed=7, broker=broker, delivery=delivery, keep=tmp_path)
    outcome = outcome_of(options)
    verdict = outcome.verdict
    assert verdict.violations == [], f"again with: {options.command}; logs: {tmp_path}"
    assert sum(outcome.faults.values()) == options.faults
    assert set(outcome.faults) == options.possible
    assert_lively(outcome)


def assert_lively(outcome: Outcome) -> None:
    """The run had something of everything, also two bars with one key in two partitions."""
    verdict = outcome.verdict
    assert min(verdict.windows, verdict.late, verdict.rejected, verdict.heartbeats, verdict.idle, verdict.shared_keys) > 0
    assert verdict.idle < verdict.windows
