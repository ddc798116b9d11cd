"""Sending ticks: an idempotent producer that packs whole batches, in order within a partition."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from app.errors import BrokerError
from app.kafka.cluster import Cluster

BATCH_BYTES = 262_144
IN_FLIGHT = 64  # batches without an answer before sending waits


def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner (murmur2) picks for a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class Feed:
    """An async context manager; `put` is synchronous and cheap, `flush` sends, leaving it waits for every answer.

    Raises `BrokerError` where the broker refuses a batch or cannot be reached: what was acknowledged before stays.
    """

    def __init__(self, cluster: Cluster, topic: str, partitions: int) -> None:
        self.topic, self.partitions = topic, partitions
        self.sent = 0  # records handed to the producer
        self._producer = AIOKafkaProducer(
            **cluster.client,
            client_id="barwheel-feed",
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
        )
        self._open: dict[int, Any] = {}
        self._full: list[tuple[int, Any]] = []
        self._waiting: set[asyncio.Future[Any]] = set()
        self._homes: dict[bytes, int] = {}

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise BrokerError(f"cannot send to {self.topic}: {_text(error)}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is left and wait for the answers; after an error only close."""
        try:
            if kind is None:
                await self.settle()
        finally:
            for future in self._waiting:
                future.cancel()
            await self._producer.stop()

    def put(self, key: bytes, value: bytes, partition: int | None = None) -> bool:
        """Take one record, for a partition or for its key's; True when a batch is full: `flush` should be awaited soon."""
        if partition is None:
            partition = self._homes.get(key)
        if partition is None:
            partition = self._homes[key] = partition_of(key, self.partitions)
        batch = self._open.get(partition)
        if batch is None or batch.append(timestamp=None, key=key, value=value) is None:
            if batch is not None:
                self._full.append((partition, batch))
            batch = self._open[partition] = self._producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)  # the first of a batch always fits
        self.sent += 1
        return bool(self._full)

    async def flush(self, *, everything: bool = False) -> None:
        """Send the full batches, or all of them; waits while too many are without an answer."""
        if everything:
            self._full += list(self._open.items())
            self._open = {}
        try:
            for partition, batch in self._full:
                batch.close()
                future = await self._producer.send_batch(batch, self.topic, partition=partition)
                self._waiting.add(future)
            self._full.clear()
            while len(self._waiting) > IN_FLIGHT:
                await self._collect(asyncio.FIRST_COMPLETED)
        except KafkaError as error:
            raise BrokerError(f"sending to {self.topic} failed: {_text(error)}") from error

    async def settle(self) -> None:
        """Send everything and wait until the broker has acknowledged it."""
        await self.flush(everything=True)
        try:
            while self._waiting:
                await self._collect(asyncio.ALL_COMPLETED)
        except KafkaError as error:
            raise BrokerError(f"sending to {self.topic} failed: {_text(error)}") from error

    async def _collect(self, when: str) -> None:
        done, self._waiting = await asyncio.wait(self._waiting, return_when=when)
        errors = [e for e in (future.exception() for future in done) if e is not None]
        if errors:
            raise errors[0]


def _text(error: Exception) -> str:
    logging.getLogger(__name__).debug("send failed", exc_info=error)
    return str(error) or type(error).__name__
