"""The partition that Kafka's default partitioner gives a key: murmur2, as Java's producers and ours choose it.

librdkafka (confluent-kafka in Python, .NET and Go, kcat) has another default, `consistent_random`, which is CRC32. With
`partitioner=murmur2_random` it chooses as the others do.
"""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, in a topic with so many partitions."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
