"""The engine on copies of a source's records: the same bars and counts as on the source itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.layout import OwnLayout
from tables.repartitioned import SOURCE_HEADER, RepartitionedLayout
from tables.ticks import PER_SECOND
from tests.support.reference import Entry
from tests.unit.model import Wire, shown, take_finals, wire
from tests.unit.test_engine_properties import PROFILE, configs, last_arrival, logs


class Batch:
    """Records as aiokafka's raw batches give them: after the last one nothing may be asked for."""

    def __init__(self, records: list[Wire]) -> None:
        self._records = records[::-1]
        self._ended = False

    def __iter__(self) -> Batch:
        return self

    def __next__(self) -> Wire:
        assert not self._ended, "asked again after its end"
        if not self._records:
            self._ended = True
            raise StopIteration
        return self._records.pop()


@PROFILE
@given(log=logs(), config=configs(), size=st.integers(1, 60), apart=st.sampled_from([1, 7, 1_000, 10_000]))
def test_copies_give_the_bars_and_the_counts_of_what_they_were_made_of(
    log: list[Entry], config: EngineConfig, size: int, apart: int
) -> None:
    # as in batches of the source: some records, one after the other, have one arrival time
    log = [replace(entry, arrival=entry.arrival - entry.arrival % apart) for entry in log]
    records = [wire(entry) for entry in log]
    cap = last_arrival(log)
    later = [
        Wire(
            record.offset,
            cap + 5,
            record.key,
            record.value,
            [*record.headers, (SOURCE_HEADER, b"t|0|%d|%d" % (n, record.timestamp))],
        )
        for n, record in enumerate(records)
    ]
    plain = Engine(config, log[0].offset, native="off")
    copies = Engine(config, log[0].offset, RepartitionedLayout(OwnLayout(config.price, PER_SECOND[config.time_unit])))
    one_by_one = Engine(config, log[0].offset, native="off")
    for begin in range(0, len(log), size):
        plain.feed(Batch(records[begin : begin + size]), arrival_cap=cap)
        copies.feed(Batch(later[begin : begin + size]), arrival_cap=cap)
    for record in records:
        one_by_one.feed([record], arrival_cap=cap)
    bars = [shown(bar) for bar in take_finals(plain)]
    assert bars == [shown(bar) for bar in take_finals(copies)] == [shown(bar) for bar in take_finals(one_by_one)]
    assert plain.counters == copies.counters == one_by_one.counters
    assert plain.arrival_violations == copies.arrival_violations == one_by_one.arrival_violations
    sides = [[(side.offset, side.kind, side.reason) for side in engine.take_side()] for engine in (plain, copies, one_by_one)]
    assert sides[0] == sides[1] == sides[2]
