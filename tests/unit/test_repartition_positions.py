"""Where a partition of a source goes on: by its stored position, by `start` at the very first start alone, never by a guess."""

from __future__ import annotations

import pytest

from agents.gaps import Log
from agents.repartition.positions import Stored, position_key, resume
from app.errors import StateError
from app.kafka.records import NO_EPOCH
from app.settings import Settings
from tables.state import Counters, Identity, Position

NOW = Identity("cluster", "id")
PLACE = ("t", 1)


def settings(start: str = "earliest", on_gap: str = "stop") -> Settings:
    return Settings.load(repartition=True, ticks_topic="t", start=start, on_gap=on_gap, broker="")


def log(begin: int, end: int, topic_id: str = "id", epoch_end: int | None = None) -> Log:
    return Log("t[1]", begin, end, topic_id, 3 if epoch_end is not None else NO_EPOCH, epoch_end)


def stored(offset: int, identity: Identity = NOW) -> Stored:
    position = Position(
        next_offset=offset,
        arrival=0,
        counters=Counters(),
        finals_end=0,
        changelog_start=0,
        fingerprint={},
        identity=identity,
        leader_epoch=3,
    )
    return Stored({position_key(*PLACE): position}, {"t": 2})


@pytest.mark.parametrize("start", ["earliest", "latest"])
@pytest.mark.parametrize("begin", [0, 40])
@pytest.mark.parametrize("known", [None, {"t": 2}, {"t": 1}, {"other": 3}, {}])
def test_start_counts_only_for_what_was_there_at_the_first_start(start: str, begin: int, known: dict[str, int] | None) -> None:
    found = resume(settings(start), PLACE, log(begin, 100), Stored(start=known), NOW)
    there = known is None or known.get("t", 0) > 1
    expected = 100 if start == "latest" and there else begin
    assert found.position.resume_at == expected
    assert found.write
    assert found.cut == (expected > 0)


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_stored_position_goes_on_whatever_start_says(start: str) -> None:
    found = resume(settings(start), PLACE, log(0, 100, epoch_end=100), stored(60), NOW)
    assert (found.position.resume_at, found.write, found.cut) == (60, False, False)


GONE = {
    "retention was faster": (log(80, 100), stored(60), "20 records before offset 80", 80, 20),
    "created again": (log(0, 100, "other"), stored(60), "was created again: its topic id is other", 0, 0),
    "truncated": (log(0, 50, epoch_end=50), stored(60), "before the position 60", 50, 10),
    "truncated, and grown again": (log(0, 100, epoch_end=55), stored(60), "has grown to 100 since", 55, 5),
}


@pytest.mark.parametrize("what", list(GONE))
def test_records_that_are_gone_stop_it_or_are_counted(what: str) -> None:
    ticks, known, said, goes_on, lost = GONE[what]
    with pytest.raises(StateError, match=said) as raised:
        resume(settings(), PLACE, ticks, known, NOW)
    assert "\n" not in str(raised.value)
    now = Identity("cluster", ticks.topic_id)
    found = resume(settings(on_gap="continue"), PLACE, ticks, known, now)
    assert (found.position.resume_at, found.position.counters.lost) == (goes_on, lost)
    assert (found.write, found.cut) == (True, True)


def test_a_position_of_another_cluster_is_refused() -> None:
    with pytest.raises(StateError, match="cluster"):
        resume(settings(on_gap="continue"), PLACE, log(0, 100), stored(60), Identity("another", "id"))
