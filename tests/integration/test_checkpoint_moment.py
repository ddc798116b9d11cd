"""A checkpoint is of one moment: what is published while it is being written belongs to the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from agents.recovery import Recovered, recover
from agents.task import PartitionTask
from agents.topics import ensure
from app.kafka.batches import Outgoing, Run
from app.kafka.cluster import Cluster
from app.kafka.producers import BatchProducer, Sent, TransactionalProducer
from app.kafka.reader import Reader
from app.kafka.slices import Slice
from app.settings import Settings
from tests.support.ticks import Tick, produce
from tests.support.waiting import until

T0 = 1_399_248_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE


class Held(TransactionalProducer):
    """The real producer of checkpoints, with a gate before the changelog."""

    def __init__(self, cluster: Cluster, changelog: str, unique: str) -> None:
        super().__init__(cluster, max_request=1 << 20, transactional_id=unique, group=unique)
        self.gate, self.at_gate, self._changelog = asyncio.Event(), asyncio.Event(), changelog

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing | Run]) -> list[Sent]:
        if topic == self._changelog:
            self.at_gate.set()
            await self.gate.wait()
        return await super().send(topic, partition, records)


def minutes(first: int, last: int) -> Any:
    """A record batch of one tick a minute."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=1 << 20,
    )
    for offset in range(first, last):
        value = f'{{"ts": {T0 + offset * MINUTE}, "bid": 1.5}}'.encode()
        builder.append(offset - first, T0 + last * MINUTE, b"A|x", value, [])
    batch = bytearray(builder.build())
    batch[:8] = first.to_bytes(8, "big")  # base offset: not under the checksum
    return MemoryRecords(bytes(batch)).next_batch()


async def test_bars_published_during_a_checkpoint_are_in_the_tail_of_the_next_recovery(broker: str, tmp_path: Path) -> None:
    unique = uuid4().hex[:8]
    settings = Settings.load(
        broker=f"kafka://{broker}",
        app_id=f"app-{unique}",
        ticks_topic=f"ticks-{unique}",
        topics_prefix=f"{unique}-",
        topic_partitions=1,
        data_dir=tmp_path,
    )
    cluster = Cluster(broker)
    await ensure(settings, cluster)
    await asyncio.to_thread(produce, broker, settings.ticks_topic, [Tick(T0 + n * MINUTE) for n in range(60)])
    names = frozenset({settings.ticks_topic, settings.finals_topic, settings.changelog_topic})

    async def recovered() -> Recovered:
        async with Reader(cluster, names) as reader:
            return await recover(reader, settings, 0, 1)

    producer, finals = Held(cluster, settings.changelog_topic, unique), BatchProducer(cluster, max_request=1 << 20)
    await asyncio.gather(producer.start(), finals.start())
    try:
        partition = PartitionTask(settings, 0, await recovered(), producer, finals, append_time=True, max_record=1 << 20)
        await partition.feed(Slice(partition.number, partition, [minutes(0, 10)], T0 + HOUR))
        checkpoint = asyncio.create_task(partition.checkpoint())
        await until(producer.at_gate.is_set, what="the checkpoint writes its states")
        for number in range(10, 60):  # goes on reading meanwhile; acknowledgements come in between
            await partition.feed(Slice(partition.number, partition, [minutes(number, number + 1)], T0 + HOUR))
            await asyncio.sleep(0.002)
        producer.gate.set()
        assert await checkpoint == 10
    finally:
        producer.gate.set()
        await asyncio.gather(producer.stop(), finals.stop())
    found = await recovered()
    assert (found.position.next_offset, found.position.finals_end) == (10, 8)  # minutes 8 and 9 were open
    assert [bar.bucket_end for bar in found.tail] == [T0 + minute * MINUTE for minute in range(9, 59)]
