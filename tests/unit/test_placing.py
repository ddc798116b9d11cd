"""Copies of records by symbol: the engine makes of them what it would have made of the records themselves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.partitioner import partition_of
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.config import LayoutConfig
from tables.layouts.json_layout import JsonLayout
from tables.layouts.layout import OwnLayout, TickLayout
from tables.layouts.schema_book import SchemaBook
from tables.layouts.schema_layout import SchemaLayout
from tables.placing import Placing
from tables.records import CUT_HEADER, MARKER_HEADER, Record, original_of
from tables.repartitioned import KEY_HEADER, REJECTED_HEADER, SOURCE_HEADER, RepartitionedLayout, SourceRecord, restored
from tests.support.schema_ticks import TICK, AvroTicks
from tests.unit.model import Wire, shown, take_finals
from tests.unit.test_engine_properties import PROFILE

TS = 1_700_000_000_000
LIMIT = 100_000
PARTITIONS = 5
OWN = LayoutConfig()
BY_KEY = LayoutConfig(fields="ts=t,bid=b,broker='X'", key="{symbol}")
BY_VALUE = LayoutConfig(fields="ts=t,bid=b,broker=i.venue,symbol=i.code,heartbeat=h", key="")
BY_BOTH = LayoutConfig(fields="ts=t,bid=b,broker=i.venue", key="{symbol}")
AVRO = AvroTicks({"code": "string", **TICK})
CONFIGS = {"own": OWN, "by key": BY_KEY, "by value": BY_VALUE, "by both": BY_BOTH}
Headers = Sequence[tuple[str, bytes | None]]

keys = st.one_of(
    st.none(), st.sampled_from([b"", b"A|x", b"X|y", b"x", b"a.b", b"|", b"A|x|y", b"\xff", b"A|x\n", b"k" * 2000])
)
values = st.one_of(
    st.none(),
    st.sampled_from([b"", b"{", b"null", b"[]", b'{"t":1}']),
    st.builds(
        lambda ts, price, code, broker, more: json.dumps(
            {"ts": ts, "t": ts, "bid": price, "b": price, "i": {"venue": broker, "code": code}, **more}
        ).encode(),
        st.integers(TS - 120_000, TS + 60_000),
        st.sampled_from([1.5, "1.25", 0, "n/a", None]),
        st.sampled_from(["x", "y", "", "a|b", None, 7]),
        st.sampled_from(["A", "X", None]),
        st.sampled_from([{}, {"broker": "A"}, {"symbol": "z"}, {"h": True, "heartbeat": True}]),
    ),
)
ours = st.sampled_from([SOURCE_HEADER, KEY_HEADER, REJECTED_HEADER, MARKER_HEADER, CUT_HEADER, "own"])
headers = st.lists(st.tuples(ours, st.sampled_from([None, b"", b"t|0|7|1", b"key|what"])), max_size=3)


def layout_of(config: LayoutConfig) -> TickLayout:
    return OwnLayout(config.price, 1_000) if config.own else JsonLayout(config.parsed())


def placing_of(config: LayoutConfig, partitions: int = PARTITIONS, layout: TickLayout | None = None) -> Placing:
    return Placing(config.parsed(), layout or layout_of(config), partitions, partition_of, max_size=LIMIT)


class Copy(NamedTuple):
    """What is written for one record."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    placed: bool


def copied(placing: Placing, partition: int, records: Iterable[Record]) -> list[Copy]:
    return [Copy(*row) for row in placing.copies("t", partition, records)]


def stored(copy: Copy, offset: int, timestamp: int) -> Wire:
    """A copy as it lies in its topic."""
    return Wire(offset, timestamp, copy.key, copy.value, list(copy.headers))


def verdict(records: Sequence[Record], layout: TickLayout) -> Any:
    """What an engine makes of records that arrive together: bars, and what becomes of each other record."""
    engine = Engine(EngineConfig(window_size=10_000, grace=1_000), records[0].offset, layout)
    engine.feed(iter(records))
    engine.advance_arrival(TS + 10**7)
    side = []
    for one in engine.take_side():
        record = original_of(one.record)
        came = record if isinstance(record, SourceRecord) else restored(record)
        side.append((one.offset, one.kind, one.reason, one.detail, came.key, came.value, list(came.headers)))
    return [shown(bar) for bar in take_finals(engine)], side, engine.counters


@pytest.mark.parametrize("name", list(CONFIGS))
@PROFILE
@given(rows=st.lists(st.tuples(keys, values, headers), min_size=1, max_size=12))
def test_the_engine_makes_of_copies_what_it_makes_of_the_records(name: str, rows: list[tuple[Any, Any, Headers]]) -> None:
    config = CONFIGS[name]
    # a record that says it is a copy is one in the repartition topic alone: there ours are always the last headers
    records = [Wire(n, TS, key, value, list(more)) for n, (key, value, more) in enumerate(rows)]
    copies = copied(placing_of(config, 1), 3, records)
    assert [copy.partition for copy in copies] == [0] * len(records)
    found = verdict([stored(copy, n, TS) for n, copy in enumerate(copies)], RepartitionedLayout(layout_of(config)))
    plain = verdict([_taken(record) for record in records], layout_of(config))
    assert found == plain
    for record, copy in zip(records, copies, strict=True):
        back = restored(stored(copy, 0, 0))
        assert (back.key, back.value, list(back.headers)) == (record.key, record.value, list(record.headers))
        assert back.source == ("t", 3, record.offset, TS)


def _taken(record: Wire) -> SourceRecord:
    """The record of a source, whatever it says of itself."""
    return SourceRecord(record.offset, record.timestamp, record.key, record.value, list(record.headers), 0, b"t|3|0|0")


@PROFILE
@given(rows=st.lists(st.tuples(keys, values, headers), min_size=1, max_size=40))
def test_all_ticks_of_a_symbol_lie_where_the_default_partitioner_puts_it(rows: list[tuple[Any, Any, Headers]]) -> None:
    records = [Wire(n, TS, key, value, list(more)) for n, (key, value, more) in enumerate(rows)]
    for config in CONFIGS.values():
        placed = defaultdict(list)
        for number in range(3):  # of the source
            for copy in copied(placing_of(config), number, records):
                placed[copy.partition].append(copy)
        for number, copies in placed.items():
            engine = Engine(EngineConfig(window_size=10_000), 0, RepartitionedLayout(layout_of(config)))
            engine.feed(stored(copy, n, TS) for n, copy in enumerate(copies))
            engine.advance_arrival(TS + 10**7)
            for bar in take_finals(engine):
                assert partition_of(f"{bar.broker}|{bar.symbol}".encode(), PARTITIONS) == number


def test_a_record_without_a_symbol_goes_to_the_partition_of_its_key_or_of_its_own_number() -> None:
    records = [Wire(0, TS, None, b"x", []), Wire(1, TS, b"", b"x", []), Wire(2, TS, b"key", b"x", [])]
    copies = copied(placing_of(BY_VALUE), 7, records)
    assert [copy.partition for copy in copies] == [2, 2, partition_of(b"key", PARTITIONS)]
    assert [(copy.key, copy.placed) for copy in copies] == [(None, False), (b"", False), (b"key", False)]


def avro_layout(book: SchemaBook) -> SchemaLayout:
    return SchemaLayout(AVRO_CONFIG.parsed(), book)


AVRO_CONFIG = LayoutConfig(format="avro", fields="ts=ts,bid=bid,symbol=code,broker='X'", key="")


def test_a_record_that_could_not_be_placed_stays_rejected_when_its_schema_becomes_known() -> None:
    known, unknown = SchemaBook(AVRO_CONFIG.parsed()), SchemaBook(AVRO_CONFIG.parsed())
    assert not known.add(AVRO.number, known.kind, AVRO.text)
    unknown.refuse(AVRO.number, "Schema Registry does not know it")
    value = AVRO.framed(ts=TS, bid=Decimal("1.5"), code="EURUSD")
    record = Wire(4, TS, None, value, [])
    (before,) = copied(placing_of(AVRO_CONFIG, layout=avro_layout(unknown)), 1, [record])
    (after,) = copied(placing_of(AVRO_CONFIG, layout=avro_layout(known)), 1, [record])
    assert (before.placed, after.placed, after.key) == (False, True, b"X|EURUSD")
    layout = RepartitionedLayout(avro_layout(known))
    _, [(_, kind, reason, detail, *_)], counters = verdict([stored(before, 0, TS)], layout)
    assert (kind, reason, detail) == ("rejected", "schema", "schema 1: Schema Registry does not know it")
    _, none, counters = verdict([stored(after, 0, TS)], layout)
    assert (none, counters.binned) == ([], 1)


def test_the_symbol_is_known_by_the_key_alone_where_the_key_says_it() -> None:
    assert [placing_of(config).by_key for config in (OWN, BY_KEY, BY_BOTH, BY_VALUE)] == [True, True, False, False]
    (copy,) = copied(placing_of(BY_KEY), 0, [Wire(0, TS, b"EURUSD", b"no JSON", [])])
    assert (copy.key, copy.partition) == (b"X|EURUSD", partition_of(b"X|EURUSD", PARTITIONS))


@pytest.mark.parametrize("config", [OWN, BY_KEY, BY_VALUE], ids=["own", "by key", "by value"])
@pytest.mark.parametrize("key", [b"X|EURUSD", b"k" * LIMIT, None], ids=["key", "long key", "no key"])
@pytest.mark.parametrize("more", [[], [("h", b"x" * LIMIT)]], ids=["no headers", "long headers"])
@pytest.mark.parametrize("length", [10, LIMIT - 3_000, 3 * LIMIT])
def test_a_record_that_the_topic_does_not_take_is_cut_and_rejected(
    config: LayoutConfig, key: bytes | None, more: Headers, length: int
) -> None:
    record = Wire(0, TS, key, b"x" * length, list(more))
    (copy,) = copied(placing_of(config, 1), 0, [record])
    builder = DefaultRecordBatchBuilder(2, 0, True, 1 << 60, 1, 0, 1 << 30)
    builder.append(0, TS, copy.key, copy.value, list(copy.headers))
    assert len(builder.build()) <= LIMIT
    _, [(_, kind, reason, *_)], _ = verdict([stored(copy, 0, TS)], RepartitionedLayout(layout_of(config)))
    assert kind == "rejected"
    if length > LIMIT and not config.own:
        assert reason == "size"


@pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))
def test_a_cut_makes_the_bars_partial_whose_windows_had_begun(config: LayoutConfig) -> None:
    tick = json.dumps({"ts": TS, "t": TS, "bid": 1, "b": 1, "i": {"venue": "X", "code": "x"}}).encode()
    later = tick.replace(str(TS).encode(), str(TS + 20_000).encode())
    key = b"x" if config.key == "{symbol}" else b"X|x"
    copies = copied(placing_of(config, 1), 0, [Wire(0, TS, key, tick, []), Wire(1, TS + 20_000, key, later, [])])
    marker = Wire(1, TS + 1, b"", None, [(MARKER_HEADER, b"app"), (CUT_HEADER, b"t|0")])
    engine = Engine(EngineConfig(window_size=10_000), 0, RepartitionedLayout(layout_of(config)))
    engine.feed([stored(copies[0], 0, TS), marker, stored(copies[1], 2, TS + 20_000)], TS + 10**6)
    engine.advance_arrival(TS + 10**7)
    assert [bool(bar.partial) for bar in take_finals(engine)] == [True, False]
    assert engine.counters.heartbeats == 1


@pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))
def test_a_tick_arrives_when_it_did_in_its_source_however_late_it_is_copied(config: LayoutConfig) -> None:
    def tick(ts: int) -> bytes:
        return json.dumps({"ts": ts, "t": ts, "bid": 1, "b": 1, "i": {"venue": "X", "code": "x"}}).encode()

    key = b"x" if config.key == "{symbol}" else b"X|x"
    came = [Wire(0, TS, key, tick(TS - 1), []), Wire(1, TS + 800, key, tick(TS - 2), [])]
    copies = copied(placing_of(config, 1), 0, came)
    engine = Engine(EngineConfig(window_size=10_000, grace=1_000), 0, RepartitionedLayout(layout_of(config)))
    hour = 3_600_000  # so long no worker ran
    engine.feed([stored(copies[0], 0, TS + 10), stored(copies[1], 1, TS + hour)], TS + hour)
    assert (engine.counters.binned, engine.counters.late, engine.arrival) == (2, 0, TS + 800)
