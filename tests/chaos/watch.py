"""End offsets of topics: they show progress, and the position of a fault."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.chaos.kinds import Ends

DEADLINE = 60.0  # seconds that a broker may be down


class Watch:
    """A consumer that only reads committed end offsets, and reconnects after the broker was down."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions
        self._consumer: AIOKafkaConsumer | None = None

    async def ends(self, topic: str) -> Ends:
        """End offsets by partition; raises `AssertionError` after `DEADLINE`."""
        until = time.monotonic() + DEADLINE
        while True:
            try:
                consumer = await self._connected()
                found = await consumer.end_offsets([TopicPartition(topic, number) for number in range(self._partitions)])
                return {tp.partition: end for tp, end in found.items()}
            except KafkaError as error:
                if time.monotonic() > until:
                    raise AssertionError(f"no end offsets of {topic}: {error!r}") from error
                await self.close()
                await asyncio.sleep(0.2)

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                isolation_level="read_committed",
                request_timeout_ms=10_000,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Close the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
