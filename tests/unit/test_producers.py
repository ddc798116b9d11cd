"""The producers of a worker's partitions start together or not at all."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from app.kafka.cluster import Cluster
from app.kafka.producer_pool import Producers
from app.kafka.producers import Outbox, Transactions
from app.settings import Settings


async def test_where_one_producer_cannot_start_no_other_goes_on_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []

    async def refused(_: Outbox) -> None:
        raise KafkaConnectionError("no")

    async def for_ever(_: Outbox) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("given up")

    monkeypatch.setattr(Outbox, "start", refused)
    monkeypatch.setattr(Transactions, "start", for_ever)
    producers = Producers(Settings.load())
    with pytest.raises(KafkaConnectionError, match="no"):
        await producers.renew(Cluster("127.0.0.1:1"), [0, 1], max_request=1 << 20)
    assert ends == ["given up"] * 2
    await producers.stop()
