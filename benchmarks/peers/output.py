"""Reads the bars that a subject publishes, as a consumer does that takes only what is committed."""

from __future__ import annotations

import time
import uuid
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from benchmarks.peers.columns import Bars

AT_ONCE = 10_000
WAIT = 0.5
QUIET = 3.0  # seconds without a new bar, once as many have come as are due: more may come at the next checkpoint
PATIENCE = 30.0  # seconds without a new bar, before that


class Output:
    """An output topic, read from its beginning."""

    def __init__(self, bootstrap: str, topic: str, bars: Bars) -> None:
        self.bars = bars
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"judge-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        found = self._consumer.list_topics(topic, timeout=30).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        self._partitions = set(found.partitions)
        self._ended: set[int] = set()  # the client says it once each time that it reaches an end
        self._consumer.assign([TopicPartition(topic, number, 0) for number in self._partitions])

    def read(self) -> int:
        """Read to the present end; returns how many bars came."""
        before = len(self.bars)
        while True:
            messages = self._consumer.consume(AT_ONCE, WAIT)
            if not messages and self._ended == self._partitions:
                return len(self.bars) - before
            self.bars.add([bytes(message.value() or b"") for message in messages if self._is_bar(message)])

    def _is_bar(self, message: Any) -> bool:
        """Whether it is a record; what else comes is an error, or that a partition has been read to its end."""
        error = message.error()
        if error is None:
            self._ended.discard(message.partition())
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # the client has no other name for it
            self._ended.add(message.partition())
        else:
            raise KafkaException(error)
        return error is None

    def read_until_quiet(self, due: int) -> None:
        """Read until no more bars come. `due`: how many are expected at least."""
        last = time.monotonic()
        while time.monotonic() - last < (QUIET if len(self.bars) >= due else PATIENCE):
            if self.read():
                last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
