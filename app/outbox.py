"""The worker's idempotent producer: records in batches of their own, in order, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

BATCH_BYTES = 512 * 1024
YIELD_EVERY = 2_000  # records between two looks at the event loop

Header = tuple[str, bytes]
NO_HEADERS: list[Header] = []  # shared, never changed
# a record to be sent: key, value, timestamp (epoch ms, None for now), headers (aiokafka's builder takes nothing but a list);
# a plain tuple, as a named one costs as much as the rest of sending it
Outgoing = tuple[bytes, bytes | None, int | None, list[Header]]


class Sent(NamedTuple):
    """A batch on its way: its acknowledgement, and how many records it holds."""

    acknowledged: asyncio.Future[RecordMetadata]
    records: int


class Outbox:
    """One producer. A failed send is never repeated here: its caller cannot know whether it was written."""

    def __init__(self, bootstrap: str, *, max_request: int) -> None:
        """`max_request`: the largest record in bytes that may be sent."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=max(max_request, 2 * BATCH_BYTES),
            request_timeout_ms=40_000,
        )

    async def start(self) -> None:
        """Connect; raises aiokafka's errors."""
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close."""
        await self._producer.stop()

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing]) -> list[Sent]:
        """Hand records over, in order; returns once the last batch is queued, not yet acknowledged."""
        sent: list[Sent] = []
        builder = self._producer.create_batch()
        for number, (key, value, timestamp, headers) in enumerate(records, 1):
            if builder.append(key=key, value=value, timestamp=timestamp, headers=headers) is None:
                sent.append(await self._send(builder, topic, partition))
                builder = self._producer.create_batch()
                builder.append(key=key, value=value, timestamp=timestamp, headers=headers)
            if not number % YIELD_EVERY:
                await asyncio.sleep(0)
        if builder.record_count():
            sent.append(await self._send(builder, topic, partition))
        return sent

    async def _send(self, builder: object, topic: str, partition: int) -> Sent:
        count = builder.record_count()  # type: ignore[attr-defined]  # aiokafka's BatchBuilder is untyped
        return Sent(await self._producer.send_batch(builder, topic, partition=partition), count)


async def acknowledged(sent: Iterable[Sent]) -> int | None:
    """Wait for all; the end offset of the last batch, or None where nothing was sent. Raises what a send failed with."""
    end = None
    for future, records in sent:
        metadata = await future
        end = metadata.offset + records
    return end
