"""Which topics ticks come from: a name, several, or a pattern, and what is refused in one line."""

from __future__ import annotations

import pytest

from agents.fingerprint import check_fingerprint, fingerprint
from agents.repartition.consumer import session_of
from agents.sources import visible
from agents.topics import judge
from app.errors import SettingsError, StateError
from app.kafka.topics import TopicState
from app.settings import Settings
from app.settings.sources import parse_sources


@pytest.mark.parametrize(
    ("text", "topics", "found"),
    [
        ("ticks", ["ticks", "ticks2"], ["ticks"]),
        ("b, a", ["a", "b", "c"], ["a", "b"]),
        ("a,b", ["b"], ["b"]),
        ("^ticks-.*", ["ticks-1", "x-ticks-1", "ticks"], ["ticks-1"]),
        ("^ticks", ["ticks", "ticks-1"], ["ticks"]),
        ("^t-(a|b){1,3}$", ["t-ab", "t-c"], ["t-ab"]),
    ],
)
def test_topics_are_found_by_name_or_by_their_whole_name(text: str, topics: list[str], found: list[str]) -> None:
    assert parse_sources(text).among(topics) == found


@pytest.mark.parametrize(
    ("topics", "repartition", "said"),
    [
        ("a,b", False, "ticks_topic=a,b: several topics can be read with repartition=on only"),
        ("^a", False, "ticks_topic=^a: a pattern can be read with repartition=on only"),
        ("a,,b", True, "ticks_topic=a,,b: each name has 1 to 249 characters"),
        ("a,a", True, "ticks_topic=a,a: a topic is named twice"),
        ("a,b c", True, "ticks_topic=a,b c: the topic 'b c' may hold letters"),
        ("^a(", True, "ticks_topic=^a(: not a regular expression"),
        ("", True, "ticks_topic must not be empty"),
        ("a,ticks_late", True, "ticks_topic=a,ticks_late finds ticks_late, where the late ticks go"),
        ("^ticks.*", True, "ticks_topic=^ticks.* finds ticks_late, where the late ticks go"),
        ("^.*-repartition", True, "finds me-ticks-repartition, where the repartitioned ticks go"),
        ("me-repartition-positions", True, "is where the positions of the repartition go"),
        ("__consumer_offsets,a", True, "finds __consumer_offsets, where the offsets of consumer groups go"),
    ],
)
def test_topics_that_cannot_be_read_are_refused_in_one_line(topics: str, repartition: bool, said: str) -> None:  # noqa: FBT001  # a case
    with pytest.raises(SettingsError) as raised:
        Settings.load(ticks_topic=topics, repartition=repartition, app_id="me", topics_prefix="", broker="")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_pattern_finds_no_topics_of_kafkas_own() -> None:
    settings = Settings.load(ticks_topic="^[^m].*s$", repartition=True, app_id="me", topics_prefix="m", broker="")
    assert settings.sources.among(visible(["__consumer_offsets", "quotes"])) == ["quotes"]


def test_without_repartition_the_engines_read_the_topic_itself() -> None:
    plain = Settings.load(ticks_topic="quotes", app_id="me", topics_prefix="p-", broker="")
    copied = Settings.load(ticks_topic="quotes", app_id="me", topics_prefix="p-", broker="", repartition=True)
    assert (plain.input_topic, copied.input_topic) == ("quotes", "p-me-ticks-repartition")


def test_topics_may_be_added_to_an_app_but_it_keeps_to_repartitioning() -> None:
    names = {"app_id": "me", "topics_prefix": "", "broker": ""}
    one, two = (Settings.load(ticks_topic=topics, repartition=True, **names) for topics in ("a", "a,b"))
    check_fingerprint("changelog[0]", fingerprint(one, 4), fingerprint(two, 4))
    plain = Settings.load(ticks_topic="a", **names)
    with pytest.raises(StateError, match="ticks_topic=a stored, me-ticks-repartition set"):
        check_fingerprint("changelog[0]", fingerprint(plain, 4), fingerprint(one, 4))


@pytest.mark.parametrize("topics", ["a,b", "^.$"])
def test_a_source_that_is_compacted_stops_the_start_and_one_that_is_missing_is_told(topics: str) -> None:
    settings = Settings.load(ticks_topic=topics, repartition=True, app_id="me", topics_prefix="", broker="")
    states = {"a": TopicState(3, {"cleanup.policy": "compact"}), "c": TopicState(1, {})}
    found = {finding.topic: finding for finding in judge(settings, states, []).findings}
    assert found["a"].fatal
    assert "compaction removes all but the last tick of a key" in str(found["a"])
    assert ("b" in found) == (topics == "a,b")
    assert "c" not in found
    assert "is missing" in str(found["me-ticks-repartition"])


def test_the_copies_topic_takes_the_largest_record_of_all_sources() -> None:
    settings = Settings.load(ticks_topic="^.$", repartition=True, app_id="me", topics_prefix="", broker="")
    states = {
        "a": TopicState(3, {"max.message.bytes": "5000000"}),
        "b": TopicState(1, {}),
        "me-ticks-repartition": TopicState(8, {"max.message.bytes": "5000000", "message.timestamp.type": "LogAppendTime"}),
    }
    (finding,) = [one for one in judge(settings, states, []).findings if one.topic == "me-ticks-repartition"]
    assert "takes records of 5000000 bytes, 5065536 are needed: the values of larger ones are cut" in str(finding)


@pytest.mark.parametrize(
    ("own", "brokers", "used"), [("30s", None, 6_000), ("30s", 6_000, 6_000), ("30s", 10_000, 10_000), ("3s", 1_000, 3_000)]
)
def test_partitions_of_sources_are_given_away_soon_but_no_sooner_than_the_brokers_allow(
    own: str, brokers: int | None, used: int
) -> None:
    settings = Settings.load(ticks_topic="a", repartition=True, app_id="me", broker="", session_timeout=own)
    assert session_of(settings, brokers) == used
