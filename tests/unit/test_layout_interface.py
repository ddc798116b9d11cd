"""An engine whose layout decodes the records before it gives what the engine gives on the same records in our own layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import given

from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.layout import OwnLayout, unwrapped
from tables.records import DecodedRecord, Record, is_marker
from tables.ticks import RejectedError, check_name, decoder, name_of, read
from tests.support import decoded_path
from tests.support.reference import Entry
from tests.unit.model import shown, take_finals, wire
from tests.unit.test_engine_properties import PROFILE, configs, last_arrival, logs


class _Before(OwnLayout):
    """Our own layout, decoded in the first step."""

    def __init__(self) -> None:
        super().__init__("bid", 1_000)
        self._read = decoder("bid")
        self.decoded = self._decoded
        self.decode = unwrapped

    def _decoded(self, records: Iterable[Record]) -> Iterator[DecodedRecord]:
        for record in records:
            if is_marker(record):
                yield record, None, None
                continue
            tick: Any = None
            key = record.key
            try:
                tick = read(self._read, record.value)
                check_name(tick, name_of(key))
            except RejectedError as error:
                tick, key = error, None
            yield record, key, tick


@PROFILE
@given(log=logs(), config=configs())
def test_bars_and_side_records_are_those_of_our_own_layout(log: list[Entry], config: EngineConfig) -> None:
    records = [wire(entry) for entry in log]
    found = []
    for engine in (Engine(config), Engine(config, 0, _Before())):
        engine.feed(records)
        engine.advance_arrival(last_arrival(log) + 10**6)
        side = [(one.offset, one.kind, one.reason, one.detail, one.record) for one in engine.take_side()]
        found.append(([shown(bar) for bar in take_finals(engine)], side, engine.counters, engine.next_offset))
    assert found[0] == found[1]


def test_the_fast_path_of_decoded_ticks_is_that_of_the_default_layout() -> None:
    assert decoded_path.TWIN.read_text() == decoded_path.twin(), "write it again: python -m tests.support.decoded_path"


def test_side_records_are_the_records_of_the_topic() -> None:
    records = [wire(Entry(offset=3, arrival=1_700_000_000_000, broker="A", symbol="x", bad="json"))]
    engine = Engine(EngineConfig(), 0, _Before())
    engine.feed(records)
    (side,) = engine.take_side()
    assert side.record is records[0]
