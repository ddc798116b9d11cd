"""Topics that were begun before Kafka 0.11 hold message formats 0 and 1: their ticks are read like those of format 2."""

from __future__ import annotations

import asyncio
import struct
from binascii import crc32
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatch, LegacyRecordBatchBuilder

from app.kafka.continuity import Continuity
from app.kafka.fetcher import RawPartitionRecords, RawTopics
from app.kafka.leader_epochs import EpochedRecords
from app.kafka.records import APPEND_TIME, Batch, LeaderEpoch, OldBatch
from app.kafka.slices import Slice
from app.settings.types import Delivery, ScopeKind
from tests.simulation.partition import Simulation
from tests.simulation.topics import START

INPUT = TopicPartition("ticks", 0)
GZIP, LZ4 = 1, 3
VALUES = [b'{"ts":%d,"bid":1.5}' % (START + n * 1_000) for n in range(6)]


def old(magic: int, offset: int, values: Sequence[bytes], codec: int = 0) -> bytes:
    """A message set as a broker of that time stored it. Offsets within a compressed message are relative since format 1."""
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for number, value in enumerate(values):
        inner = number if codec and magic else offset + number
        builder.append(inner, None if magic == 0 else START + number, b"A|x", value)
    raw = builder.build()
    if codec:
        struct.pack_into(">q", raw, 0, offset + len(values) - 1)  # the broker's: that of the last one in it
    return bytes(raw)


def new(offset: int, values: Sequence[bytes]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number, START, b"A|x", value, [])
    raw = builder.build()
    struct.pack_into(">qii", raw, 0, offset, struct.unpack_from(">i", raw, 8)[0], 4)
    return bytes(raw)


def with_append_time(raw: bytes, timestamp: int) -> bytes:
    """A compressed message of format 1 of a topic with LogAppendTime: the wrapper's time is that of all in it."""
    changed = bytearray(raw)
    changed[17] |= 0x08
    struct.pack_into(">q", changed, 18, timestamp)
    struct.pack_into(">I", changed, 12, crc32(changed[16:]))
    return bytes(changed)


def fetched(raw: bytes, offset: int = 0) -> list[Any]:
    return list(RawPartitionRecords(INPUT, EpochedRecords(raw), [], offset, RawTopics(frozenset({"ticks"})), None, True, 1))


@pytest.mark.parametrize("codec", [0, GZIP, LZ4])
@pytest.mark.parametrize("magic", [0, 1])
def test_every_record_comes_once_with_its_offset(magic: int, codec: int) -> None:
    if (magic, codec) == (0, LZ4):
        return  # no broker stored that
    batches = fetched(old(magic, 10, VALUES, codec), 10)
    assert len(batches) == (1 if codec else 6)
    taken, gap = Continuity(10).take(batches)
    assert (taken, gap) == (batches, None)
    assert [(batch.base_offset, batch.next_offset) for batch in batches][-1][1] == 16
    records = [record for batch in batches for record in batch]
    assert [(record.offset, record.key, record.value) for record in records] == [
        (10 + n, b"A|x", v) for n, v in enumerate(VALUES)
    ]
    assert [record.timestamp for record in records] == [-1 if magic == 0 else START + n for n in range(6)]
    assert [tuple(record.headers) for record in records] == [()] * 6


def test_append_time_of_a_compressed_message_is_that_of_all_in_it() -> None:
    [batch] = fetched(with_append_time(old(1, 0, VALUES, GZIP), START + 77))
    assert (batch.timestamp_type, batch.max_timestamp) == (APPEND_TIME, START + 77)
    assert {record.timestamp for record in batch} == {START + 77}


def test_a_topic_that_went_on_in_format_2_shows_the_epoch_where_that_begins() -> None:
    batches = fetched(old(1, 0, VALUES[:2]) + old(0, 2, VALUES[2:4], GZIP) + new(4, VALUES[4:]))
    assert [type(batch) for batch in batches[:-1]] == [OldBatch, OldBatch, OldBatch, LeaderEpoch]
    assert (batches[-2].leader_epoch, batches[-2].base_offset, batches[-1].next_offset) == (4, 4, 6)


def test_formats_may_change_to_and_fro_within_a_fetch() -> None:
    first, second = new(0, VALUES) + old(0, 6, VALUES[:2]), old(1, 8, VALUES[:2], GZIP) + new(10, VALUES)
    batches, gap = Continuity(0).take(fetched(first + second + new(16, VALUES) + old(1, 22, VALUES)))
    assert gap is None
    assert [record.offset for batch in batches for record in batch] == list(range(28))


def test_a_wrong_checksum_is_found() -> None:
    raw = bytearray(old(1, 0, VALUES[:1]))
    raw[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        fetched(bytes(raw))


def test_a_codec_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: Any) -> OldBatch:
        raise UnsupportedCodecError("lz4")

    monkeypatch.setattr(OldBatch, "of", unreadable)
    with pytest.raises(UnsupportedCodecError):
        fetched(old(1, 0, VALUES, GZIP))


@pytest.mark.parametrize("append_time", [True, False])
@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, GZIP])
def test_the_ticks_of_old_formats_make_the_same_bar(magic: int, codec: int, append_time: bool) -> None:  # noqa: FBT001  # a table
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent)
        await simulation.restart()
        raw = old(magic, 0, VALUES[:4], codec)
        if append_time and magic and codec:
            raw = with_append_time(raw, START + 5_000)
        parts: list[Batch]
        parts, _ = Continuity(0).take(fetched(raw + new(4, VALUES[4:])))
        await simulation.partition.feed(Slice(0, simulation.partition, parts, START + 10_000))
        counters = simulation.partition.engine.counters
        assert (counters.read, counters.binned, counters.rejected, counters.late) == (6, 6, 0, 0)
        [symbol] = simulation.partition.engine.symbols.values()
        assert symbol.current is not None
        assert symbol.current.ticks == 6

    asyncio.run(check())


def test_the_old_classes_are_those_that_the_fetcher_meets() -> None:
    assert type(EpochedRecords(old(1, 0, VALUES[:1])).next_batch()) is LegacyRecordBatch
