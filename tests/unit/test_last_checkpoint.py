"""A last checkpoint that takes too long is given up: the partitions are released, and nothing is sent for them afterwards."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerClosed
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP

from agents.tasks import TaskManager
from app.driver.consumer import Consumer
from app.kafka.cluster import Cluster
from app.kafka.producers import BatchProducer
from app.settings import Settings

INPUT = TP("ticks", 0)


class Stuck:
    """A partition's task whose checkpoint never ends."""

    def __init__(self) -> None:
        self.began, self.ended = 0, 0

    async def checkpoint(self) -> int | None:
        self.began += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1
        return None


class Revoking(Consumer):
    """The consumer without Faust and a broker."""

    last_checkpoint_seconds = 0.01

    def __init__(self, manager: TaskManager) -> None:
        self._continuity, self._acked, self._acked_index, self._n_acked = {}, {}, {}, 0
        self.transport: Any = SimpleNamespace(tasks=manager, _topic_waiters={})
        self.app: Any = SimpleNamespace(flow_control=SimpleNamespace(suspend=lambda: None, clear=lambda: None))

    def stop_flow(self) -> None:
        pass


async def no_error(error: BaseException) -> None:
    raise AssertionError(f"the worker ends: {error!r}")


@pytest.mark.parametrize("under_way", [False, True], ids=["alone", "behind another one"])
@pytest.mark.parametrize("event", ["on_partitions_revoked", "on_stop"])
async def test_a_last_checkpoint_that_never_ends_is_given_up_and_then_the_partitions_are_released(
    event: str, *, under_way: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    manager, stuck = TaskManager(Settings.load(), no_error), Stuck()
    manager._tasks, manager._taking = {0: stuck}, True  # type: ignore[dict-item]
    monkeypatch.setattr(manager._pacing, "due", lambda *_: True)

    async def abort() -> None:
        assert manager.running(), "before the partitions are released"
        said.append("aborted")

    async def faust(_self: Any, *_: Any) -> None:
        said.append("released")
        assert not manager.running()

    monkeypatch.setattr(manager._creator, "abort", abort)
    monkeypatch.setattr(FaustConsumer, event, faust)
    periodic = asyncio.ensure_future(manager.checkpoint()) if under_way else None
    await asyncio.sleep(0)
    await asyncio.wait_for(getattr(Revoking(manager), event)(*({INPUT},) * (event == "on_partitions_revoked")), 10)
    assert said == ["aborted", "released"]
    assert stuck.began == stuck.ended == 1 + under_way
    assert "the partitions are released without it" in caplog.text
    if periodic is not None:
        await asyncio.wait_for(periodic, 10)  # Faust's task that calls it must go on


def queued(producer: BatchProducer, number: int) -> Any:
    builder: BatchBuilder = producer._producer.create_batch()
    builder.append(timestamp=None, key=b"%d" % number, value=b"bar")
    builder.close()
    return producer._producer._message_accumulator.add_batch(builder, TopicPartition("bars", number), 10)


async def test_a_producer_that_is_aborted_sends_nothing_more() -> None:
    producer = BatchProducer(Cluster("127.0.0.1:1"), max_request=1 << 20)
    waits = await queued(producer, 0)
    await producer.abort()
    await producer.stop()  # as the next recovery does; it has nothing to wait for
    for attempt in (waits, queued(producer, 1)):
        with pytest.raises(ProducerClosed):
            await attempt


async def test_what_was_never_sent_is_given_up_and_what_may_have_been_written_is_not() -> None:
    producer = BatchProducer(Cluster("127.0.0.1:1"), max_request=1 << 20)
    accumulator = producer._producer._message_accumulator
    accumulator._txn_manager = None  # it has no producer id yet
    never, sent = await queued(producer, 0), await queued(producer, 1)
    accumulator.reenqueue(accumulator._pop_batch(TopicPartition("bars", 1)))  # its leader did not answer
    producer.give_up_unsent()
    with pytest.raises(ProducerClosed):
        await never
    assert not sent.done()
    assert [tp.partition for tp in accumulator._batches] == [1]
    sent.cancel()
    await producer.stop()
