"""What `app doctor` says about replicas: each risk once, with the topics that have it and a remedy."""

from __future__ import annotations

import pytest

from app.kafka.topics import MIN_IN_SYNC, UNCLEAN, TopicState
from app.operations.durability import Risk, idle_risk, risks
from app.settings import Settings


def found(replicas: int, in_sync: int | None, *, unclean: bool = False) -> list[Risk]:
    configs = {} if in_sync is None else {MIN_IN_SYNC: str(in_sync)}
    configs |= {UNCLEAN: str(unclean).lower()}
    return list(risks({"ticks": TopicState(1, configs)}, {"ticks": replicas}))


@pytest.mark.parametrize(
    ("replicas", "in_sync", "said", "advice", "serious"),
    [
        (3, 2, None, "", False),
        (0, 1, None, "", False),  # not known
        (1, 1, "has one replica: its records are lost with that broker's disk", "replication_factor=3", False),
        (1, None, "has one replica", "replication_factor=3", False),
        (3, 1, "counts as written when one of 3 replicas has it", "min.insync.replicas=2", False),
        (3, None, "counts as written when one of 3 replicas has it", "min.insync.replicas=2", False),
        (3, 3, "nothing can be written while one of them is away", "add a replica", False),
        (1, 2, "a broker may refuse every record", "set min.insync.replicas to 1", True),
        (2, 3, "a broker may refuse every record", "set min.insync.replicas to 1", True),
    ],
)
def test_replicas_and_how_many_must_have_a_record(
    replicas: int,
    in_sync: int | None,
    said: str | None,
    advice: str,
    serious: bool,  # noqa: FBT001  # a table
) -> None:
    risk = found(replicas, in_sync)
    if said is None:
        assert risk == []
        return
    assert (len(risk), risk[0].serious) == (1, serious)
    assert said in risk[0].text
    assert risk[0].text.startswith("topic ticks: ")
    assert advice in risk[0].advice


@pytest.mark.parametrize(("replicas", "serious"), [(3, True), (1, False)])
def test_an_unclean_election_needs_a_second_replica(replicas: int, serious: bool) -> None:  # noqa: FBT001  # a table
    about = [risk for risk in found(replicas, 2 if replicas > 1 else 1, unclean=True) if UNCLEAN in risk.text]
    assert [risk.serious for risk in about] == [True] * serious


def test_topics_with_one_risk_are_named_together() -> None:
    state = TopicState(1, {MIN_IN_SYNC: "1"})
    [risk] = risks(
        {"ticks": state, "bars": state, "good": TopicState(1, {MIN_IN_SYNC: "2"})}, {"ticks": 3, "bars": 3, "good": 3}
    )
    assert risk.text.startswith("topic ticks, bars: ")


@pytest.mark.parametrize(
    ("idle_close", "margin", "replicas", "lag_ms", "at_risk"),
    [
        ("on", "500ms", 3, 30_000, True),
        ("on", "30s", 3, 30_000, True),
        ("on", "31s", 3, 30_000, False),
        ("marker", "500ms", 3, 30_000, False),
        ("off", "500ms", 3, 30_000, False),
        ("on", "500ms", 1, 30_000, False),  # nothing lags
        ("on", "500ms", 3, None, False),  # not known
    ],
)
def test_silence_needs_a_margin_above_the_time_that_a_replica_may_lag_or_markers(  # a table
    idle_close: str,
    margin: str,
    replicas: int,
    lag_ms: int | None,
    at_risk: bool,  # noqa: FBT001  # a table
) -> None:
    found = idle_risk(Settings.load(idle_close=idle_close, idle_margin=margin), replicas, lag_ms)
    assert (found is not None) is at_risk
    if found is not None:
        assert "replica.lag.time.max.ms=30000" in found.text
        assert "BARWHEEL_IDLE_CLOSE=marker" in found.advice
