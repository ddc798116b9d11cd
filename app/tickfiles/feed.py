"""Sends ticks with an idempotent producer, in whole batches, in order within a partition."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from app.errors import BrokerError
from app.kafka.cluster import Cluster
from app.kafka.partitioner import partition_of

BATCH_BYTES = 262_144
IN_FLIGHT = 64  # unacknowledged batches before `flush` waits
SILENT_SECONDS = 60.0  # without any acknowledgement: the broker's disk may be full, and aiokafka would try for ever
STOP_SECONDS = 2.0  # after an error, to close the connections


class Feed:
    """An async context manager: `put` collects, `flush` sends, leaving the context waits for every acknowledgement.

    Raises `BrokerError` if the broker refuses a batch, cannot be reached, or acknowledges nothing for a minute; acknowledged
    batches stay in the topic.
    """

    def __init__(self, cluster: Cluster, topic: str, partitions: int, *, max_batch: int = BATCH_BYTES) -> None:
        """`max_batch`: the largest batch in bytes that the topic takes."""
        self.topic, self.partitions = topic, partitions
        self.sent = 0  # records handed to the producer
        self._producer = AIOKafkaProducer(
            **cluster.producer,
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
        logging.getLogger("aiokafka.producer.sender").addFilter(_Once())
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
        except BaseException:
            await self._give_up()
            raise
        if kind is None:
            await self._producer.stop()
        else:
            await self._give_up()

    async def _give_up(self) -> None:
        """Close; what is not acknowledged may be in the topic or not."""
        for future in self._unacknowledged:
            future.cancel()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producer.stop()  # waits until all is sent, which may be never
        except TimeoutError:
            sender = self._producer._sender.sender_task  # noqa: SLF001  # it would go on
            if sender is not None:
                sender.cancel()
            await asyncio.wait([asyncio.ensure_future(self._producer.client.close())], timeout=STOP_SECONDS)

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
                await self._collect()
        except KafkaError as error:
            raise BrokerError(f"sending to {self.topic} failed: {_text(error)}") from error

    async def settle(self) -> None:
        """Send everything and wait until it is acknowledged."""
        await self.flush(everything=True)
        try:
            while self._unacknowledged:
                await self._collect()
        except KafkaError as error:
            raise BrokerError(f"sending to {self.topic} failed: {_text(error)}") from error

    async def _collect(self) -> None:
        """Wait for an acknowledgement, or more."""
        done, self._unacknowledged = await asyncio.wait(
            self._unacknowledged, timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            text = f"the broker has acknowledged nothing for {SILENT_SECONDS:.0f} s; see its log, its disk may be full"
            raise KafkaTimeoutError(text)
        errors = [e for e in (future.exception() for future in done) if e is not None]
        if errors:
            raise errors[0]


class _Once(logging.Filter):
    """Passes a message of a kind once: aiokafka logs each of its attempts."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: set[object] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is new."""
        new = record.msg not in self._passed
        self._passed.add(record.msg)
        return new


def _text(error: Exception) -> str:
    logging.getLogger(__name__).debug("send failed", exc_info=error)
    return str(error) or type(error).__name__
