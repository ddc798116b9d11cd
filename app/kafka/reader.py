"""Reading partitions as raw batches, outside any consumer group."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.errors import StateError
from app.kafka.cluster import Cluster
from app.kafka.fetcher import RawTopics, silence_of
from app.kafka.leader_epochs import EpochEnd, end_of_epoch
from app.kafka.leaders import Bounds, Place, assign_known, bounds_of, leaderless, learn_leaders
from app.kafka.records import Batch

FETCH_BYTES = 4 << 20
POLL_MS = 500
# A connection handles one request after another: while the broker holds an empty fetch response, the next request waits.
FETCH_WAIT_MS = 5
STUCK_SECONDS = 60.0  # without progress, before reading ends with an error
LEADERLESS_SECONDS = 5.0  # the same, where the partition has no leader; an election takes less


class Reader:
    """A consumer of some topics, without a group. Use it with `async with`."""

    def __init__(
        self,
        cluster: Cluster,
        topics: frozenset[str],
        *,
        wait_ms: int = FETCH_WAIT_MS,
        known: Mapping[Place, Bounds] = MappingProxyType({}),
    ) -> None:
        """`wait_ms`: how long the broker may hold an empty fetch response. `known`: bounds that `bounds` need not ask for."""
        self._topics = topics
        self._known = known
        self.reading = ("", 0, 0)  # progress of `read`: the partition, its offset, and the end offset
        self._consumer = AIOKafkaConsumer(
            **cluster.client,
            key_deserializer=RawTopics(topics),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=wait_ms,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        try:
            await learn_leaders(self._consumer, self._topics)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that still exists, and the end offset."""
        place = topic, partition
        return self._known[place] if place in self._known else (await self.all_bounds([place]))[place]

    async def offset_at(self, topic: str, partition: int, time_ms: int) -> int | None:
        """The first offset whose record has this timestamp (epoch ms) or a later one; None where there is none."""
        place = TopicPartition(topic, partition)
        found = (await self._consumer.offsets_for_times({place: time_ms}))[place]
        return None if found is None else int(found.offset)

    async def learn_leaders(self) -> None:
        """Ask for the leaders of all partitions now. Raises aiokafka's errors."""
        await learn_leaders(self._consumer, self._topics)

    def leaderless(self, places: Iterable[Place]) -> dict[Place, KafkaError]:
        """Those of these partitions that had no leader when the reader last asked."""
        return leaderless(self._consumer, places)

    async def bounds_of(self, places: Iterable[Place]) -> tuple[dict[Place, Bounds], dict[Place, KafkaError]]:
        """The bounds of these partitions, and the errors of the others. Raises none of them, and asks only once."""
        return await bounds_of(self._consumer, places)

    async def all_bounds(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """The bounds of many partitions, each a (topic, partition), at once."""
        tps = [TopicPartition(*place) for place in places]
        begin = await self._consumer.beginning_offsets(tps)
        end = await self._consumer.end_offsets(tps)
        return {(tp.topic, tp.partition): (begin[tp], end[tp]) for tp in tps}

    async def end_of_epoch(self, topic: str, partition: int, leader_epoch: int) -> EpochEnd | None:
        """Where the records of a leader epoch end now; None where the broker is too old to tell."""
        return await end_of_epoch(self._consumer._client, topic, partition, leader_epoch)  # noqa: SLF001  # aiokafka has no accessor

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Batch]:
        """The batches from `start` up to `end`. The first may begin before `start`, and the last may end after `end`.

        Raises aiokafka's errors if the broker is away, and `StateError` if it answers but has no records up to `end`.
        """
        tp = TopicPartition(topic, partition)
        assign_known(self._consumer, [(topic, partition)])
        self._consumer.seek(tp, start)
        progressed, last_position = time.monotonic(), start
        while (position := await self._consumer.position(tp)) < end:
            self.reading = (f"{topic}[{partition}]", position, end)
            if position != last_position:
                progressed, last_position = time.monotonic(), position
            elif time.monotonic() - progressed > LEADERLESS_SECONDS and (without := self.leaderless([(topic, partition)])):
                raise next(iter(without.values()))
            elif time.monotonic() - progressed > STUCK_SECONDS:
                begin, now_end = (await self.all_bounds([(topic, partition)]))[topic, partition]
                raise StateError(
                    f"{topic}[{partition}]: nothing comes after offset {position}, though {end} was its end "
                    f"(it has {begin} to {now_end} now): was it deleted and created again, or does a transaction stay open?"
                )
            for batches in (await self._consumer.getmany(tp, timeout_ms=POLL_MS)).values():
                for batch in batches:
                    yield batch

    async def follow(self, starts: Mapping[tuple[str, int], int]) -> AsyncIterator[list[tuple[str, int, Batch]]]:
        """Read partitions from an offset each, and go on with new records; yields lists of (topic, partition, batch).

        A list is empty if half a second brought nothing. The first batch of a partition may begin before its offset. Never
        ends by itself. Raises aiokafka's errors.
        """
        places = {TopicPartition(*place): offset for place, offset in starts.items()}
        self._consumer.assign(list(places))
        for tp, offset in places.items():
            self._consumer.seek(tp, offset)
        while True:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            yield [(tp.topic, tp.partition, batch) for tp, batches in fetched.items() for batch in batches]

    def ends(self) -> dict[tuple[str, int], int]:
        """The end offsets of the partitions that `follow` reads, as of the last fetch responses."""
        known = {tp: self._consumer.highwater(tp) for tp in self._consumer.assignment()}
        return {(tp.topic, tp.partition): end for tp, end in known.items() if end is not None}

    @property
    def silence(self) -> float:
        """Seconds since the broker last answered a fetch."""
        return silence_of(self._consumer)


async def high_watermarks(cluster: Cluster, places: Iterable[Place]) -> dict[Place, int]:
    """The ends of these partitions, with records whose transactions are still open. Raises aiokafka's errors."""
    wanted = list(places)
    consumer = AIOKafkaConsumer(**cluster.client, enable_auto_commit=False, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        await learn_leaders(consumer, frozenset(topic for topic, _ in wanted))
        bounds, failed = await bounds_of(consumer, wanted)
    finally:
        await consumer.stop()
    for error in failed.values():
        raise error
    return {place: end for place, (_, end) in bounds.items()}
