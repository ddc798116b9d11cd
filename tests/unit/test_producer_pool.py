"""The producers of a worker's partitions start together or not at all."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from app.kafka.cluster import Cluster
from app.kafka.producer_pool import ProducerPool
from app.kafka.producers import BatchProducer, TransactionalProducer
from app.settings import Settings


async def test_if_one_producer_cannot_start_the_others_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []

    async def refused(_: BatchProducer) -> None:
        raise KafkaConnectionError("no")

    async def for_ever(_: BatchProducer) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    monkeypatch.setattr(BatchProducer, "start", refused)
    monkeypatch.setattr(TransactionalProducer, "start", for_ever)
    producers = ProducerPool(Settings.load())
    with pytest.raises(KafkaConnectionError, match="no"):
        await producers.renew(Cluster("127.0.0.1:1"), [0, 1], max_request=1 << 20)
    assert ends == ["cancelled"] * 2
    await producers.stop()
