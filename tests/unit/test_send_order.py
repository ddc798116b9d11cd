"""Nothing is sent behind a batch that was refused, and no batch is larger than its topic takes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, UnknownError
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator

from agents.finals import FinalsPublisher
from agents.metrics import Metrics
from agents.topics import SMALLEST_BATCH, input_spec, judge, specs
from app.errors import StateError
from app.kafka.batches import Outgoing, Run, keep_order
from app.kafka.cluster import Cluster
from app.kafka.producers import BATCH_BYTES, BatchProducer, Sent
from app.kafka.topics import DEFAULT_MAX_MESSAGE_BYTES, TopicState
from app.settings import Settings

PARTITION, OTHER = TopicPartition("bars", 0), TopicPartition("bars", 1)


async def accumulator() -> Any:
    made = MessageAccumulator(None, 1_000, 0, 30)
    producer: Any = SimpleNamespace(_message_accumulator=made)
    keep_order(producer)
    return made


def batch(text: bytes) -> BatchBuilder:
    made = BatchBuilder(1_000, 0)
    made.append(timestamp=None, key=text, value=text)
    return made


async def test_a_failed_batch_fails_those_behind_it_at_once_and_those_that_come_later() -> None:
    queues = await accumulator()
    sent = [await queues.add_batch(batch(b"1"), PARTITION, 10)]
    head = queues._pop_batch(PARTITION)  # on its way
    sent.append(await queues.add_batch(batch(b"2"), PARTITION, 10))
    waiting = asyncio.ensure_future(queues.add_batch(batch(b"3"), PARTITION, 10))
    elsewhere = await queues.add_batch(batch(b"1"), OTHER, 10)
    await asyncio.sleep(0)
    head.failure(UnknownError())
    assert PARTITION not in queues._batches, "before the sender gets a turn: it would send the second batch"
    for future in (*sent, waiting, queues.add_batch(batch(b"4"), PARTITION, 10)):
        with pytest.raises(UnknownError):
            await future
    assert not elsewhere.done()
    assert OTHER in queues._batches


async def test_an_acknowledged_batch_leaves_the_memory_without_the_garbage_collector() -> None:
    queues = await accumulator()
    gc.disable()
    try:
        await queues.add_batch(batch(b"1"), PARTITION, 10)
        held = queues._pop_batch(PARTITION)
        gone = weakref.ref(held)
        held.done(0, -1)
        del held
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


async def test_a_batch_that_is_sent_again_keeps_those_behind_it() -> None:
    queues = await accumulator()
    await queues.add_batch(batch(b"1"), PARTITION, 10)
    head = queues._pop_batch(PARTITION)
    await queues.add_batch(batch(b"2"), PARTITION, 10)
    queues.reenqueue(head)
    assert len(queues._batches[PARTITION]) == 2
    assert queues._batches[PARTITION][0] is head


async def test_a_sender_that_ends_fails_every_batch() -> None:
    queues = await accumulator()
    sent = [await queues.add_batch(batch(b"1"), tp, 10) for tp in (PARTITION, OTHER)]
    queues._pop_batch(PARTITION)
    sent.append(await queues.add_batch(batch(b"2"), PARTITION, 10))
    queues.fail_all(KafkaConnectionError("away"))
    for future in sent:
        with pytest.raises(KafkaConnectionError):
            await future


STEP = SimpleNamespace(windows=["bar"], states=None, closes=None)  # of one window, to be sent as it is


def as_they_are(closed: Iterable[Any], _headers: object) -> Iterator[Any]:
    """Bars in place of their records."""
    return iter(list(closed))


class Producer(BatchProducer):
    """Notes what it is given; the test acknowledges or refuses it."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing | Run]) -> list[Sent]:  # noqa: ARG002  # its signature
        self.sent.append(Sent(asyncio.get_running_loop().create_future(), len(list(records)), topic))
        return [self.sent[-1]]


@pytest.mark.parametrize("checkpoint", [False, True], ids=["published", "awaited by a checkpoint"])
@pytest.mark.parametrize("error", [UnknownError(), MessageSizeTooLargeError()], ids=lambda error: type(error).__name__)
async def test_no_bar_is_sent_behind_a_refused_one(
    monkeypatch: pytest.MonkeyPatch, error: Exception, *, checkpoint: bool
) -> None:
    metrics = Metrics(5_000)
    monkeypatch.setattr(metrics, "sent", lambda *_: None)
    producer = Producer()
    publisher = FinalsPublisher("bars", 0, producer, end=0, headers=[], metrics=metrics, records=as_they_are)
    bars: Sequence[Any] = [STEP]
    await publisher.publish(list(bars), 1)
    await publisher.publish(list(bars), 1)
    if checkpoint:
        publisher.take_in_flight()
    producer.sent[0].acknowledged.set_exception(error)
    with pytest.raises(type(error)):
        await publisher.publish(list(bars), 1)
    assert len(producer.sent) == 2


async def test_batches_fit_their_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"small": 2_000, "large": 8 * BATCH_BYTES}
    producer = BatchProducer(Cluster("127.0.0.1:1"), max_request=1 << 20, batch_limits=limits)
    sizes: dict[str, list[int]] = {}
    counts: dict[str, int] = {}

    async def send_batch(made: Any, topic: str, *, partition: int) -> Any:
        sizes.setdefault(topic, []).append(made.size())
        counts[topic] = counts.get(topic, 0) + made.record_count()
        return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(producer._producer, "send_batch", send_batch)
    records: list[Outgoing] = [(b"%d" % n, b"v" * 300, None, []) for n in range(4_000)]
    for topic in ("small", "large", "unknown"):
        await producer.send(topic, 0, records)
        assert counts[topic] == len(records)
    await producer.stop()
    assert max(sizes["small"]) <= limits["small"]
    assert min(sizes["small"][:-1]) > limits["small"] - 400, "they are filled"
    assert BATCH_BYTES // 2 < max(sizes["large"]) <= BATCH_BYTES
    assert sizes["large"] == sizes["unknown"]


@pytest.mark.parametrize(
    ("size", "findings", "fatal"),
    [(DEFAULT_MAX_MESSAGE_BYTES, 0, 0), (100_000, 2, 0), (SMALLEST_BATCH - 1, 2, 2)],
)
def test_a_compacted_topic_with_small_batches_is_noticed(size: int, findings: int, fatal: int) -> None:
    settings = Settings.load()
    states = {
        spec.name: TopicState(spec.partitions, dict(spec.configs)) for spec in [input_spec(settings), *specs(settings, 8)]
    }
    for name in (settings.finals_topic, settings.changelog_topic):
        states[name].configs["max.message.bytes"] = str(size)
    report = judge(settings, states, [])
    about = [finding for finding in report.findings if "max.message.bytes=" in finding.text]
    assert len(about) == findings
    assert sum(finding.fatal for finding in about) == fatal
    assert all("--add-config max.message.bytes=1048588" in finding.advice for finding in about)
    assert report.batch_limits[settings.finals_topic] == size


@pytest.mark.parametrize(("base", "fine"), [(6, True), (9, True), (5, False), (3, False), (0, False)])
async def test_bars_that_are_appended_below_the_end_of_before_stop_the_worker_however_many_they_are(
    monkeypatch: pytest.MonkeyPatch,
    base: int,
    fine: bool,  # noqa: FBT001  # a table
) -> None:
    metrics = Metrics(5_000)
    monkeypatch.setattr(metrics, "sent", lambda *_: None)
    producer = Producer()
    publisher = FinalsPublisher("bars", 0, producer, end=6, headers=[], metrics=metrics, records=as_they_are)
    bars: Sequence[Any] = [STEP] * 50
    await publisher.publish(list(bars), 50)
    producer.sent[0].acknowledged.set_result(SimpleNamespace(offset=base))
    if fine:
        await publisher.publish(list(bars), 50)
        assert publisher.end == base + 50
        return
    with pytest.raises(StateError, match=r"bars\[0\] took a record before offset 6, where it ended: it was truncated"):
        await publisher.publish(list(bars), 50)
