"""Side records: as they came with their reason, and never larger than their topic takes."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from agents.side_outputs import SideRecordEncoder
from agents.topics import judge
from app.kafka.batches import Outgoing
from app.kafka.topics import TopicState
from app.settings import Settings
from tables.record_size import CUT_TO
from tables.records import SideRecord
from tests.unit.model import Wire

LIMIT = 1_048_588
APP: list[tuple[str, bytes]] = [("app_id", b"barwheel")]


def outgoing(value: bytes | None, *, key: bytes = b"A|x", headers: list[tuple[str, bytes | None]] | None = None) -> Outgoing:
    """What becomes of a rejected record where the topic takes `LIMIT` bytes."""
    record = Wire(7, 1_700_000_000_000, key, value, headers or [])
    side = SideRecord(7, "rejected", "json", "d" * 200, record)
    return SideRecordEncoder("ticks", 3, max_size=LIMIT, headers=APP).encode(side)


def size(record: Outgoing) -> int:
    """Bytes of the batch that holds it."""
    key, value, _, headers = record
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 30)
    builder.append(0, 0, key, value, headers)
    return len(builder.build())


def test_a_record_is_kept_whole_with_its_headers_and_its_reason_behind_them() -> None:
    key, value, _, headers = outgoing(b"hello", headers=[("mine", b"1"), ("none", None)])
    assert (key, value) == (b"ticks|3|7", b"hello")
    assert [name for name, _ in headers][:3] == ["mine", "none", "reason"]
    assert dict(headers) == {
        "mine": b"1",
        "none": b"",
        "reason": b"json",
        "detail": b"d" * 200,
        "source_arrival": b"1700000000000",
        "app_id": b"barwheel",
        "source_key": b"A|x",
    }


@pytest.mark.parametrize("length", [LIMIT - 4_000, LIMIT, 20_000_000])
def test_a_value_that_the_topic_does_not_take_is_cut_and_says_so(length: int) -> None:
    record = outgoing(b"x" * length, headers=[("mine", b"1")])
    _, value, _, headers = record
    assert value == b"x" * CUT_TO
    assert (dict(headers)["truncated"], dict(headers)["original_size"]) == (b"true", str(length).encode())
    assert dict(headers)["mine"] == b"1"
    assert size(record) <= LIMIT


@pytest.mark.parametrize("value", [None, b"", b"x" * 100_000])
@pytest.mark.parametrize(
    "headers", [[("big", b"h" * 5_000_000)], [("\u20ac" * 200_000, b"") for _ in range(4)], [("", b"")] * 200_000]
)
def test_headers_that_the_topic_does_not_take_are_left_out(
    value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    record = outgoing(value, key=b"k" * 5_000_000, headers=headers)
    assert size(record) <= LIMIT
    assert dict(record[3])["headers_left_out"] == str(len(headers)).encode()
    assert dict(record[3])["reason"] == b"json"
    assert (record[1] or b"") == (value or b"")[:CUT_TO]


@pytest.mark.parametrize(("late", "rejected", "takes"), [(900, 5_000_000, 900), (5_000_000, 800, 800), (None, None, 1_065_536)])
def test_the_smaller_limit_of_the_side_topics_is_the_one_that_counts(
    late: int | None, rejected: int | None, takes: int
) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    states = {settings.ticks_topic: TopicState(1, {"max.message.bytes": "1000000"})}
    for name, limit in ((settings.late_topic, late), (settings.rejected_topic, rejected)):
        if limit is not None:
            states[name] = TopicState(1, {"max.message.bytes": str(limit)})
    assert judge(settings, states, []).max_side_bytes == takes
