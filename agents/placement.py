"""Counts the symbols that lie in another partition than Kafka's default partitioner gives them.

That is no fault where every producer partitions alike. Where some do not, one symbol lies in two partitions, and each of them
makes a bar with the same key. One partition cannot see that: the read model finds it (`app/readmodel`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from app.kafka.partitioner import partition_of
from tables.ticks import shown

log = logging.getLogger(__name__)


class Placement:
    """One for each worker. It logs the first symbol that lies elsewhere, once."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._told = False

    def count_elsewhere(self, keys: Iterable[bytes], partition: int, partitions: int) -> int:
        """How many of these keys the default partitioner would have put into another one than this partition."""
        elsewhere = [key for key in keys if partition_of(key, partitions) != partition]
        if elsewhere and not self._told:
            self._told = True
            log.info(
                "%s is in %s[%d], and Kafka's default partitioner (murmur2) puts it into %d: all producers must place a symbol "
                "alike; for librdkafka set partitioner=murmur2_random, or use one partitioner everywhere",
                shown(elsewhere[0]),
                self._topic,
                partition,
                partition_of(elsewhere[0], partitions),
            )
        return len(elsewhere)
