"""The engine on aiokafka's own record batches, which may be iterated only once and not beyond their end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from tables.config import EngineConfig
from tables.engine import Engine
from tables.state import Counters
from tests.unit.model import take_finals

DAY = 1_399_248_000_000


def batch(ticks: int) -> Any:
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
        value = f'{{"ts": {DAY + offset}, "bid": 1.5}}'.encode()
        builder.append(offset, DAY + offset, b"A|x", value, [("from", b"test")])
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


def test_a_late_record_of_a_batch_keeps_its_key_value_and_headers() -> None:
    engine = Engine(EngineConfig(window_size=10, grace=0))
    engine.feed(batch(20))
    engine.feed(batch(1))
    (late,) = engine.take_side()
    record = late.record
    assert (record.key, record.value) == (b"A|x", f'{{"ts": {DAY}, "bid": 1.5}}'.encode())
    assert list(record.headers) == [("from", b"test")]
