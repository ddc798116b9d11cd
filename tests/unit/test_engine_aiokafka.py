"""The engine on aiokafka's own record batches, which may be iterated only once and not beyond their end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from google.protobuf import descriptor_pb2

from agents.task import feed_batch
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.config import LayoutConfig
from tables.layouts.json_layout import JsonLayout
from tables.layouts.layout import OwnLayout, TickLayout
from tables.layouts.schema_book import SchemaBook
from tables.layouts.schema_layout import SchemaLayout
from tables.repartitioned import RepartitionedLayout
from tables.state import Counters
from tables.ticks import PER_SECOND
from tests.support.schema_ticks import AvroTicks, ProtobufTicks
from tests.unit.model import take_finals

DAY = 1_399_248_000_000


AVRO, PROTOBUF = AvroTicks({"ts": "long", "bid": "double"}), ProtobufTicks(first=True)


def json_tick(ts: int) -> bytes:
    return b'{"ts": %d, "bid": 1.5}' % ts


def batch(ticks: int, value_of: Callable[[int], bytes] = json_tick) -> Any:
    """One record batch as a fetch gives it: a tick each millisecond, arriving then."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=1 << 20,
    )
    for offset in range(ticks):
        builder.append(offset, DAY + offset, b"A|x", value_of(DAY + offset), [("from", b"test")])
    return MemoryRecords(bytes(builder.build())).next_batch()


def test_a_record_batch_is_read_to_its_end_and_not_beyond() -> None:
    engine = Engine(EngineConfig())
    engine.feed(batch(100))
    assert (engine.counters.read, engine.counters.binned, engine.next_offset) == (100, 100, 100)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("end", [0, 50, 99, 500])
def test_a_record_batch_is_read_once_wherever_a_replay_ends(end: int, together: bool) -> None:  # noqa: FBT001
    other = Engine(EngineConfig())
    other.feed(batch(1))
    other.advance_arrival(DAY + 10**8)
    tail = [msgspec.structs.replace(bar, broker="B", closed_at_offset=end) for bar in take_finals(other)]
    engine = Engine(EngineConfig())
    engine.restore(Counters(), DAY, {}, {}, tail)
    if together:
        engine.feed_same_arrival(batch(100), DAY + 100)
    else:
        engine.feed(batch(100))
    assert (engine.counters.read, engine.counters.binned, engine.next_offset) == (100, 100, 100)


def schema_layout(kind: str, unit: str) -> SchemaLayout:
    """A layout whose schema is from a file, so that its records come to it as they are."""
    parsed = LayoutConfig(format=kind, time_unit=unit).parsed()
    book, described = SchemaBook(parsed), descriptor_pb2.FileDescriptorSet()
    described.file.append(PROTOBUF.file)
    book.use_file(AVRO.text.encode() if kind == "avro" else described.SerializeToString(), "x.Tick")
    return SchemaLayout(parsed, book)


LAYOUTS: dict[str, tuple[Callable[[str], TickLayout], Callable[[int], bytes]]] = {
    "default": (lambda unit: OwnLayout("bid", PER_SECOND[unit]), json_tick),
    "json": (lambda unit: JsonLayout(LayoutConfig(fields="ts=ts,bid=bid", time_unit=unit).parsed()), json_tick),
    "avro": (partial(schema_layout, "avro"), lambda ts: AVRO.plain(ts=ts, bid=1.5)),
    "protobuf": (partial(schema_layout, "protobuf"), lambda ts: PROTOBUF.plain(ts=ts, bid="1.5")),
}


@pytest.mark.parametrize("cap", [None, DAY + 10**6], ids=["LogAppendTime", "CreateTime"])
@pytest.mark.parametrize("way", ["fast", "rules", "replay"])
@pytest.mark.parametrize("kind", ["ticks", "copies"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_no_layout_and_no_way_through_the_engine_reads_a_batch_beyond_its_end(
    name: str, kind: str, way: str, cap: int | None
) -> None:
    unit = "us" if way == "rules" else "ms"  # the fast path knows milliseconds
    layout = LAYOUTS[name][0](unit)
    engine = Engine(EngineConfig(time_unit=unit), 0, RepartitionedLayout(layout) if kind == "copies" else layout)
    if way == "replay":
        other = Engine(EngineConfig())
        other.feed(batch(1))
        other.advance_arrival(DAY + 10**8)
        tail = [msgspec.structs.replace(bar, broker="B", closed_at_offset=9) for bar in take_finals(other)]
        engine.restore(Counters(), DAY, {}, {}, tail)
    times = 1_000 if way == "rules" else 1
    feed_batch(engine, batch(10, lambda ts: LAYOUTS[name][1](ts * times)), 0, cap)
    assert [(side.reason, side.detail) for side in engine.take_side()] == []
    assert (engine.counters.read, engine.counters.binned, engine.next_offset) == (10, 10, 10)


def test_a_late_record_of_a_batch_keeps_its_key_value_and_headers() -> None:
    engine = Engine(EngineConfig(window_size=10, grace=0))
    engine.feed(batch(20))
    engine.feed(batch(1))
    (late,) = engine.take_side()
    record = late.record
    assert (record.key, record.value) == (b"A|x", f'{{"ts": {DAY}, "bid": 1.5}}'.encode())
    assert list(record.headers) == [("from", b"test")]
