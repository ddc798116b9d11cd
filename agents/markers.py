"""Markers: records that this worker writes into its input, so that a silent log still tells the time (`idle_close=marker`).

A marker has no key and no value, and one header. It moves the arrival clock, as every record does, and nothing else. So the log
itself says when a silent scope closes, and no clocks are compared.
"""

from __future__ import annotations

from app.kafka.batches import Outgoing
from app.kafka.producers import BatchProducer, Sent
from tables.records import MARKER_HEADER


class Markers:
    """Writes the markers of one partition, one after another."""

    def __init__(self, topic: str, partition: int, producer: BatchProducer, app_id: str) -> None:
        self._topic = topic
        self._partition = partition
        self._producer = producer
        self._headers = [(MARKER_HEADER, app_id.encode())]
        self._sent: Sent | None = None

    def on_its_way(self, consumed_to: int) -> bool:
        """Whether the last marker has still to be read. Raises the error of a marker that was refused."""
        if self._sent is None:
            return False
        if self._sent.error is not None:
            raise self._sent.error
        return self._sent.end is None or self._sent.end > consumed_to

    async def send(self, timestamp: int) -> None:
        """Send a marker. `timestamp` (epoch ms) counts only where the topic has CreateTime."""
        record: Outgoing = (b"", None, timestamp, self._headers)
        (self._sent,) = await self._producer.send(self._topic, self._partition, [record])
