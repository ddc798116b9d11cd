"""Counts the symbols that lie in another partition than Kafka's default partitioner gives them.

That is no fault where every producer partitions alike. Where some do not, one symbol lies in two partitions, and each of them
makes a bar with the same key. One partition cannot see that: the read model finds it (`app/readmodel`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.kafka.partitioner import partition_of
from tables import native
from tables.engine import Engine
from tables.ticks import shown

log = logging.getLogger(__name__)
ElsewhereOf = Callable[[list[bytes], int, int], list[bytes]]
AT_ONCE = 2_000  # symbols whose partition is checked before the event loop gets a turn


def elsewhere_in_python(keys: list[bytes], partition: int, partitions: int) -> list[bytes]:
    """Those of the keys that the default partitioner puts into another partition."""
    return [key for key in keys if partition_of(key, partitions) != partition]


class Placement:
    """One for each worker. It logs the first symbol that lies elsewhere, once."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._told = False

    def count_elsewhere(
        self, keys: list[bytes], partition: int, partitions: int, elsewhere_of: ElsewhereOf = elsewhere_in_python
    ) -> int:
        """How many of these keys the default partitioner would have put into another one than this partition.

        `elsewhere_of`: how a core finds them.
        """
        elsewhere = elsewhere_of(keys, partition, partitions)
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


class PlacedSymbols:
    """One for each partition: it checks the symbols that its engine gets to know."""

    def __init__(self, placement: Placement | None = None, partition: int = 0, partitions: int = 0) -> None:
        """`partitions`: how many the input has. Without a `placement` nothing is checked."""
        self.misplaced = 0  # symbols that the default partitioner would have put elsewhere, of those seen since the assignment
        self._placement = placement
        self._partition = partition
        self._partitions = partitions

    def count_new(self, engine: Engine) -> None:
        """Check some of the symbols that have become known."""
        new = take_keys(engine.windows.new_keys, AT_ONCE)
        if new and self._placement is not None:
            elsewhere_of = native.elsewhere(engine.windows.core) or elsewhere_in_python
            self.misplaced += self._placement.count_elsewhere(new, self._partition, self._partitions, elsewhere_of)


def take_keys(keys: list[bytes], most: int) -> list[bytes]:
    """Remove and return so many keys at most."""
    taken = keys[-most:]
    del keys[-most:]
    return taken
