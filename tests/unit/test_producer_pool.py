"""The producers of a worker's partitions start some at a time, and one that cannot start does not hold the others."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from app.kafka.cluster import Cluster
from app.kafka.producer_pool import ProducerPool
from app.kafka.producers import BatchProducer, TransactionalProducer
from app.kafka.transactional_producers import PRODUCERS_AT_ONCE
from app.settings import Settings

NOWHERE = Cluster("127.0.0.1:1")


async def starts(_: BatchProducer) -> None:
    """In the place of `start`."""


async def test_a_producer_that_cannot_start_does_not_hold_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(producer: TransactionalProducer) -> None:
        if producer._producer._txn_manager.transactional_id.endswith("-1"):
            raise KafkaConnectionError("no")

    monkeypatch.setattr(BatchProducer, "start", starts)
    monkeypatch.setattr(TransactionalProducer, "start", start)
    producers = ProducerPool(Settings.load())
    failed = await producers.start(NOWHERE, [0, 1, 2], max_request=1 << 20)
    assert list(failed) == [1]
    assert isinstance(failed[1], KafkaConnectionError)
    assert sorted(producers.checkpoints) == [0, 2]
    finals = producers.finals
    monkeypatch.setattr(TransactionalProducer, "start", starts)
    assert await producers.start(NOWHERE, [1], max_request=1 << 20) == {}
    assert sorted(producers.checkpoints) == [0, 1, 2]
    assert producers.finals is finals, "the running partitions keep it"
    await producers.stop()


async def test_an_error_that_nobody_foresaw_cancels_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []

    async def start(producer: TransactionalProducer) -> None:
        if producer._producer._txn_manager.transactional_id.endswith("-0"):
            await asyncio.sleep(0)
            raise RuntimeError("nobody foresaw this")
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    monkeypatch.setattr(BatchProducer, "start", starts)
    monkeypatch.setattr(TransactionalProducer, "start", start)
    producers = ProducerPool(Settings.load())
    with pytest.raises(RuntimeError, match="nobody foresaw this"):
        await producers.start(NOWHERE, [0, 1, 2], max_request=1 << 20)
    assert ends == ["cancelled"] * 2
    await producers.stop()


async def test_some_producers_start_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, most = 0, 0

    async def start(_: TransactionalProducer) -> None:
        nonlocal now, most
        now += 1
        most = max(now, most)
        await asyncio.sleep(0)
        now -= 1

    monkeypatch.setattr(BatchProducer, "start", starts)
    monkeypatch.setattr(TransactionalProducer, "start", start)
    producers = ProducerPool(Settings.load())
    await producers.start(NOWHERE, range(3 * PRODUCERS_AT_ONCE), max_request=1 << 20)
    assert most == PRODUCERS_AT_ONCE
    await producers.stop()


@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
@pytest.mark.parametrize("idle_close", ["on", "marker"])
async def test_after_a_stop_bars_and_markers_get_a_new_producer(
    monkeypatch: pytest.MonkeyPatch, delivery: str, idle_close: str
) -> None:
    monkeypatch.setattr(BatchProducer, "start", starts)
    monkeypatch.setattr(TransactionalProducer, "start", starts)
    producers = ProducerPool(Settings.load(delivery=delivery, idle_close=idle_close))
    before = []
    for _ in range(2):
        await producers.start(NOWHERE, [0], max_request=1 << 20)
        assert (producers.finals is None) is (delivery == "transactional")
        assert (producers.markers is None) is (idle_close == "on")
        now = [one for one in (producers.finals, producers.markers) if one is not None]
        assert not any(one in before for one in now), "one that was stopped"
        before += now
        await producers.stop()
        assert producers.finals is producers.markers is None
