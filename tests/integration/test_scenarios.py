"""What markets do to a running worker: one worker with windows of 2 s, each scenario in brokers and a partition of its own."""

from __future__ import annotations

import pytest

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, create_topic, heartbeat, now_ms, of, produce, read, windows
from tests.support.worker import Worker

SIZE, GRACE = 2_000, 1_000
HOUR = 3_600_000


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("pocket", "LogAppendTime"), id="pocket"),
        pytest.param(("kafka", "LogAppendTime"), id="kafka", marks=pytest.mark.kafka),
        pytest.param(("pocket", "CreateTime"), id="pocket-create-time"),
    ],
)
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kind of broker, and the timestamps of the input."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture(scope="module")
def broker(kind: tuple[str, str], request: pytest.FixtureRequest) -> str:
    """`host:port` of the broker."""
    return str(request.getfixturevalue(kind[0]))


@pytest.fixture(scope="module")
def worker(module_worker: NewWorker, kind: tuple[str, str]) -> Worker:
    """One for all: a broker is a scope of its own, so scenarios do not meet."""
    found = module_worker(window_size="2s", grace="1s", max_future="60s", topic_partitions="8")
    create_topic(found.bootstrap, found.ticks_topic, 8, message_timestamp_type=kind[1])
    return found.start()


def send(worker: Worker, partition: int, *ticks: Tick) -> list[int]:
    """One batch: all of it arrives at one moment."""
    return produce(worker.bootstrap, worker.ticks_topic, ticks, partition)


def arrival(worker: Worker, partition: int, offset: int) -> int:
    """When a record arrived, by the broker's clock."""
    records = read(worker.bootstrap, worker.ticks_topic)
    return next(seen.timestamp for seen in records if (seen.partition, seen.offset) == (partition, offset))


def bars(worker: Worker, broker: str, count: int) -> list[tuple[int, str, str, str, str, int]]:
    """Start, prices and ticks of a broker's bars, once there are so many."""
    finals = read(worker.bootstrap, worker.finals_topic, lambda seen: len(of(seen, broker)) >= count)
    found = of(finals, broker)
    return [(b.bucket_start, str(b.open), str(b.high), str(b.low), str(b.close), b.ticks) for b in found]


def late_offsets(worker: Worker, partition: int, count: int) -> list[int]:
    """Source offsets of the late ticks of a partition, once there are so many."""
    records = read(worker.bootstrap, worker.late_topic, lambda seen: sum(s.partition == partition for s in seen) >= count)
    return [int((seen.key or b"").split(b"|")[2]) for seen in records if seen.partition == partition]


def window() -> int:
    """The start of a window some seconds ago."""
    return (now_ms() - 10_000) // SIZE * SIZE


def test_ticks_just_before_and_after_a_boundary_are_in_two_bars(worker: Worker) -> None:
    start = window()
    send(worker, 0, Tick(start + 1_900, "1.1", "boundary|x"), Tick(start + 2_010, "1.2", "boundary|x"))
    assert bars(worker, "boundary", 2) == [(start, *("1.1",) * 4, 1), (start + SIZE, *("1.2",) * 4, 1)]


def test_a_silent_market_gets_its_last_bar_without_any_further_tick(worker: Worker) -> None:
    start = now_ms() // SIZE * SIZE
    (offset,) = send(worker, 1, Tick(start + 1_500, "1.1", "silent|x"))
    assert bars(worker, "silent", 1) == [(start, *("1.1",) * 4, 1)]
    (bar,) = of(read(worker.bootstrap, worker.finals_topic), "silent")
    came = arrival(worker, 1, offset)
    assert bar.close_reason == "idle"
    stream_time = min(start + 1_500, came + GRACE)  # a tick moves it no further than its own arrival + grace
    assert bar.closed_at == max(came + start + SIZE + GRACE - stream_time, came + GRACE)
    assert (bar.watermark, bar.closed_at_offset) == (bar.bucket_end, offset + 1)
    assert sum(seen.partition == 1 for seen in read(worker.bootstrap, worker.ticks_topic)) == 1  # nothing else came


def test_a_symbol_falls_silent_beside_one_that_goes_on_and_its_bar_closes_with_theirs(worker: Worker) -> None:
    start = window()
    send(
        worker,
        2,
        Tick(start, "1.1", "beside|quiet"),
        Tick(start + 100, "2", "beside|busy"),
        Tick(start + SIZE + GRACE, "3", "beside|busy"),
    )
    finals = read(worker.bootstrap, worker.finals_topic, lambda seen: len(of(seen, "beside")) >= 3)
    assert [(b.symbol, b.bucket_start - start, b.close_reason) for b in of(finals, "beside")] == [
        ("busy", 0, "watermark"),
        ("quiet", 0, "watermark"),
        ("busy", SIZE, "idle"),
    ]


def test_where_everything_is_late_nothing_is_published_twice_and_every_tick_is_kept(worker: Worker) -> None:
    start = window()
    first = send(worker, 3, Tick(start, "1.1", "late|x"), heartbeat(start + 10 * SIZE, "late|x"))
    late = send(worker, 3, *(Tick(start + 10 * number, "9.9", "late|x") for number in range(50)))
    assert late_offsets(worker, 3, 50) == late
    records = [seen for seen in read(worker.bootstrap, worker.late_topic) if seen.partition == 3]
    assert {seen.headers["reason"] for seen in records} == {b"late"}
    sent = {seen.offset: seen.value for seen in read(worker.bootstrap, worker.ticks_topic) if seen.partition == 3}
    assert [seen.value for seen in records] == [sent[offset] for offset in late]
    assert [seen.key for seen in records] == [f"{worker.ticks_topic}|3|{offset}".encode() for offset in late]
    assert bars(worker, "late", 1) == [(start, *("1.1",) * 4, 1)]
    assert len(first) == 2


def test_a_broker_10_seconds_ahead_does_not_hurry_one_that_is_right(worker: Worker) -> None:
    start = now_ms() // SIZE * SIZE
    send(
        worker,
        4,
        Tick(start + 100, "1.1", "right|x"),
        Tick(start + 10_100, "5.1", "ahead|x"),
        Tick(start + 200, "1.2", "right|x"),
        Tick(start + 10_200, "5.2", "ahead|x"),
        Tick(start + 1_999, "1.3", "right|x"),
    )
    assert bars(worker, "right", 1) == [(start, "1.1", "1.3", "1.1", "1.3", 3)]
    assert bars(worker, "ahead", 1) == [(start + 10_000, "5.1", "5.2", "5.1", "5.2", 2)]
    assert late_offsets(worker, 4, 0) == []


def test_one_tick_an_hour_in_the_future_is_rejected_and_closes_nothing(worker: Worker) -> None:
    start = window()
    offsets = send(
        worker,
        5,
        Tick(start, "1.1", "future|x"),
        Tick(start + HOUR, "9", "future|x"),
        Tick(start + 1, "1.2", "future|x"),
    )
    assert bars(worker, "future", 1) == [(start, "1.1", "1.2", "1.1", "1.2", 2)]
    records = read(worker.bootstrap, worker.rejected_topic, 1)
    (rejected,) = [seen for seen in records if seen.partition == 5]
    assert rejected.headers["reason"] == b"future"
    assert rejected.key == f"{worker.ticks_topic}|5|{offsets[1]}".encode()


def test_ticks_out_of_order_inside_the_grace_make_the_right_bar(worker: Worker) -> None:
    start = window()
    send(
        worker,
        6,
        Tick(start + 1_000, "1.2", "order|x"),
        Tick(start + 2_900, "7", "order|x"),
        Tick(start + 1_999, "1.3", "order|x"),
        Tick(start + 1, "1.1", "order|x"),
    )
    assert bars(worker, "order", 2) == [
        (start, "1.1", "1.3", "1.1", "1.3", 3),
        (start + SIZE, *("7",) * 4, 1),
    ]
    assert late_offsets(worker, 6, 0) == []


def test_of_equal_timestamps_seq_and_then_the_offset_decide(worker: Worker) -> None:
    start = window()
    send(
        worker,
        7,
        *(Tick(start, bid, "seq|x", f', "seq": {seq}') for bid, seq in (("1.3", 3), ("1.1", 1), ("1.2", 2))),
    )
    send(worker, 7, *(Tick(start, bid, "noseq|x") for bid in ("1.3", "1.1", "1.2")))
    assert bars(worker, "seq", 1) == [(start, "1.1", "1.3", "1.1", "1.3", 3)]
    assert bars(worker, "noseq", 1) == [(start, "1.3", "1.3", "1.1", "1.2", 3)]


def test_a_symbol_that_returns_after_hours_has_bars_again(worker: Worker) -> None:
    start = window()
    before = start - 5 * HOUR
    send(worker, 0, Tick(before, "1.1", "returns|x"))
    assert bars(worker, "returns", 1) == [(before, *("1.1",) * 4, 1)]  # closed by idling, as nothing follows
    send(worker, 0, Tick(start, "1.2", "returns|x"), Tick(start + 1, "1.3", "returns|x"))
    assert bars(worker, "returns", 2) == [(before, *("1.1",) * 4, 1), (start, "1.2", "1.3", "1.2", "1.3", 2)]


def test_at_the_end_every_window_was_published_once_and_the_accounting_balances(worker: Worker) -> None:
    sent = read(worker.bootstrap, worker.ticks_topic)
    worker.wait_closed(len(sent))
    total = worker.total()
    worker.stop()
    finals = read(worker.bootstrap, worker.finals_topic)
    published = windows(finals)
    assert len(published) == len(set(published))
    assert total["read"] == len(sent) == total["binned"] + total["late"] + total["rejected"] + total["heartbeats"]
    assert total["binned"] == sum(seen.bar.ticks for seen in finals)
    assert total["late"] == len(read(worker.bootstrap, worker.late_topic))
    assert total["rejected"] == len(read(worker.bootstrap, worker.rejected_topic))
    assert all(seen.timestamp == seen.bar.bucket_start for seen in finals)
    assert {seen.headers["app_id"] for seen in finals} == {worker.settings["app_id"].encode()}
