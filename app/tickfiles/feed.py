"""Sends ticks with an idempotent producer, in whole batches, in order within a partition."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.errors import BrokerError
from app.kafka.cluster import Cluster
from app.kafka.partitioner import partition_of

BATCH_BYTES = 262_144
IN_FLIGHT = 64  # unacknowledged batches before `flush` waits


class Feed:
    """An async context manager: `put` collects, `flush` sends, leaving the context waits for every acknowledgement.

    Raises `BrokerError` if the broker refuses a batch or cannot be reached; acknowledged batches stay in the topic.
    """

    def __init__(self, cluster: Cluster, topic: str, partitions: int, *, max_batch: int = BATCH_BYTES) -> None:
        """`max_batch`: the largest batch in bytes that the topic takes."""
        self.topic, self.partitions = topic, partitions
        self.sent = 0  # records handed to the producer
        self._producer = AIOKafkaProducer(
            **cluster.client,
            client_id="barwheel-feed",
            acks="all",
            enable_idempotence=True,
            max_batch_size=min(BATCH_BYTES, max_batch),
        )
        self._open: dict[int, Any] = {}
        self._full: list[tuple[int, Any]] = []
        self._unacknowledged: set[asyncio.Future[Any]] = set()
        self._partitions: dict[bytes, int] = {}

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
        """Send the rest and wait for the acknowledgements; after an error only close."""
        try:
            if kind is None:
                await self.settle()
        finally:
            for future in self._unacknowledged:
                future.cancel()
            await self._producer.stop()

    def put(self, key: bytes | None, value: bytes, partition: int | None = None) -> bool:
        """Add one record to the batch of a partition, by default its key's; True if a batch is full and `flush` is due."""
        if partition is None:
            named = key or b""
            partition = self._partitions.get(named)
            if partition is None:
                partition = self._partitions[named] = partition_of(named, self.partitions)
        batch = self._open.get(partition)
        if batch is None or batch.append(timestamp=None, key=key, value=value) is None:
            if batch is not None:
                self._full.append((partition, batch))
            batch = self._open[partition] = self._producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)  # the first record always fits
        self.sent += 1
        return bool(self._full)

    async def flush(self, *, everything: bool = False) -> None:
        """Send the full batches, or all; waits while more than `IN_FLIGHT` are unacknowledged."""
        if everything:
            self._full += list(self._open.items())
            self._open = {}
        try:
            for partition, batch in self._full:
                batch.close()
                future = await self._producer.send_batch(batch, self.topic, partition=partition)
                self._unacknowledged.add(future)
            self._full.clear()
            while len(self._unacknowledged) > IN_FLIGHT:
                await self._collect(asyncio.FIRST_COMPLETED)
        except KafkaError as error:
            raise BrokerError(f"sending to {self.topic} failed: {_text(error)}") from error

    async def settle(self) -> None:
        """Send everything and wait until it is acknowledged."""
        await self.flush(everything=True)
        try:
            while self._unacknowledged:
                await self._collect(asyncio.ALL_COMPLETED)
        except KafkaError as error:
            raise BrokerError(f"sending to {self.topic} failed: {_text(error)}") from error

    async def _collect(self, when: str) -> None:
        done, self._unacknowledged = await asyncio.wait(self._unacknowledged, return_when=when)
        errors = [e for e in (future.exception() for future in done) if e is not None]
        if errors:
            raise errors[0]


def _text(error: Exception) -> str:
    logging.getLogger(__name__).debug("send failed", exc_info=error)
    return str(error) or type(error).__name__
