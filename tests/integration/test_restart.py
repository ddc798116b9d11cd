"""A worker that is stopped or killed in the middle goes on where it was: every window once, none missing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tables import native
from tests.integration.conftest import NewWorker
from tests.support.ticks import Seen, Tick, create_topic, heartbeat, produce, read, windows
from tests.support.worker import Worker

T0 = 1_399_248_000_000
MINUTE = 60_000

Shape = dict[tuple[str, str, int], tuple[Decimal, Decimal, Decimal, Decimal, int]]


def market(minutes: int, symbols: int, per_minute: int, partition: int) -> list[Tick]:
    """Ticks in order of their event time, ended by a heartbeat that closes the last window."""
    ticks = [
        Tick(
            T0 + minute * MINUTE + step * (MINUTE // per_minute) + symbol,
            f"1.{(minute * 7919 + step * 104729 + symbol * 31) % 100_000:05}",
            f"P{partition}|s{symbol}",
        )
        for minute in range(minutes)
        for step in range(per_minute)
        for symbol in range(symbols)
    ]
    return [*ticks, heartbeat(T0 + minutes * MINUTE + 5_000, f"P{partition}|s0")]


def shape(ticks: list[Tick]) -> Shape:
    """The bars of ticks that come in order: five lines that need no engine."""
    bars: Shape = {}
    for tick in ticks:
        if tick.ts:
            price, window = Decimal(tick.bid), (*tick.name.split("|"), tick.ts - tick.ts % MINUTE)
            opened, high, low, _, count = bars.get(window, (price, price, price, price, 0))  # type: ignore[arg-type]
            bars[window] = (opened, max(high, price), min(low, price), price, count + 1)  # type: ignore[index]
    return bars


def published(finals: list[Seen]) -> Shape:
    """The bars of a topic in the same form."""
    bars = [seen.bar for seen in finals]
    return {(bar.broker, bar.symbol, bar.bucket_start): (bar.open, bar.high, bar.low, bar.close, bar.ticks) for bar in bars}


def check(worker: Worker, sent: list[Tick]) -> None:
    """Every window once, with every tick."""
    finals = read(worker.bootstrap, worker.finals_topic)
    assert published(finals) == shape(sent)
    assert len(windows(finals)) == len(set(windows(finals)))


@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
def test_a_worker_stopped_in_the_middle_of_a_window_goes_on_with_it(new_worker: NewWorker, delivery: str) -> None:
    stopped_in_the_middle(new_worker, delivery, "LogAppendTime")


def test_the_same_on_a_create_time_topic(pocket_worker: NewWorker) -> None:
    stopped_in_the_middle(pocket_worker, "idempotent", "CreateTime")


def stopped_in_the_middle(new_worker: NewWorker, delivery: str, timestamps: str) -> None:
    worker = new_worker(topic_partitions="1", delivery=delivery)
    create_topic(worker.bootstrap, worker.ticks_topic, 1, message_timestamp_type=timestamps)
    worker.start()
    ticks = market(minutes=3, symbols=2, per_minute=10, partition=0)
    for begin, end in ((0, 15), (15, 27)):  # 15: in the middle of the first minute
        produce(worker.bootstrap, worker.ticks_topic, ticks[begin:end])
        worker.wait_read(end)
        worker.stop()
        worker.start()
    worker.stop()
    produce(worker.bootstrap, worker.ticks_topic, ticks[27:])  # while it is away
    worker.start().wait_closed(len(ticks))
    total = worker.total()
    worker.stop()
    check(worker, ticks)
    assert (total["read"], total["binned"], total["heartbeats"]) == (len(ticks), len(ticks) - 1, 1)


@pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")
@pytest.mark.parametrize("first", ["on", "off"])
def test_a_worker_with_one_core_goes_on_from_the_state_of_the_other(pocket_worker: NewWorker, first: str) -> None:
    worker = pocket_worker(topic_partitions="1", scope="symbol" if first == "on" else "broker")
    ticks = market(minutes=3, symbols=2, per_minute=10, partition=0)
    ticks.append(heartbeat(T0 + 3 * MINUTE + 5_000, "P0|s1"))
    cores = ["on", "off", "on"] if first == "on" else ["off", "on", "off"]
    for part, core in enumerate(cores):
        worker.settings["native"] = core
        worker.start()
        sent = ticks[: len(ticks) * (part + 1) // len(cores)]
        produce(worker.bootstrap, worker.ticks_topic, sent[len(ticks) * part // len(cores) :])
        worker.wait_read(len(sent))
        status = worker.get("/api/v1/status")
        assert status is not None
        assert (status["core"], status["core_note"]) == (("native", "") if core == "on" else ("python", "native=off"))
        if part < len(cores) - 1:
            worker.stop()
    worker.wait_closed(len(ticks))
    worker.stop()
    check(worker, ticks)


@pytest.mark.parametrize(
    ("scope", "delivery"), [("broker", "idempotent"), ("symbol", "idempotent"), ("broker", "transactional")]
)
def test_a_worker_killed_in_the_middle_publishes_every_window_exactly_once(
    new_worker: NewWorker, scope: str, delivery: str
) -> None:
    killed_in_the_middle(new_worker, scope, delivery, "LogAppendTime")


def test_so_does_a_worker_killed_on_a_create_time_topic(pocket_worker: NewWorker) -> None:
    killed_in_the_middle(pocket_worker, "symbol", "idempotent", "CreateTime")


def killed_in_the_middle(new_worker: NewWorker, scope: str, delivery: str, timestamps: str) -> None:
    symbols = 20
    worker = new_worker(scope=scope, delivery=delivery, checkpoint_interval="300ms")
    create_topic(worker.bootstrap, worker.ticks_topic, 2, message_timestamp_type=timestamps)
    worker.start()
    sent: list[Tick] = []
    parts = [market(minutes=60, symbols=symbols, per_minute=20, partition=partition) for partition in (0, 1)]
    if scope == "symbol":
        for partition, part in enumerate(parts):
            part += [heartbeat(T0 + 60 * MINUTE + 5_000, f"P{partition}|s{symbol}") for symbol in range(1, symbols)]
    size = len(parts[0]) // 3 + 1
    seen = 0
    for begin in range(0, len(parts[0]), size):
        for partition, part in enumerate(parts):
            chunk = part[begin : begin + size]
            produce(worker.bootstrap, worker.ticks_topic, chunk, partition)
            sent += chunk
        seen = len(read(worker.bootstrap, worker.finals_topic, seen + 1))  # it is at work on this part
        worker.kill()
        worker.start()
    worker.wait_closed(len(sent))
    total = worker.total()
    worker.stop()
    check(worker, sent)
    assert total["read"] == len(sent) == total["binned"] + total["heartbeats"]
