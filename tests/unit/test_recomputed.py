"""Bars that are computed once more: equal to the newest versions where late ticks were corrected, else different."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import event, given

from app.operations.backfill.compare import Comparison, Outcome
from app.operations.backfill.published import Published
from app.operations.backfill.ticks import Stretch
from tables.bars import Bar, decode_bar
from tables.config import EngineConfig
from tables.emission import take_records, unpacked
from tables.engine import Engine
from tables.recomputed import Difference, Kind, Place, close_all, revision_of
from tables.scopes import UNKNOWN
from tables.state import CUT_AT_NEXT, Counters, Position
from tests.support.reference import Entry
from tests.unit.model import take_beyond, take_finals, wire
from tests.unit.test_engine_beyond import MINUTE, ORIGIN, beyond_configs, ticks
from tests.unit.test_engine_properties import PROFILE, last_arrival, logs

FAR = 1 << 50
ALL = Stretch(0, FAR, FAR)
POSITION = Position(
    next_offset=0, arrival=0, counters=Counters(), finals_end=0, changelog_start=0, fingerprint={}
)  # of no interest here


def newest(log: list[Entry], config: EngineConfig) -> dict[Place, Bar]:
    """The newest version of each bar that is published."""
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    engine.advance_arrival(last_arrival(log) + 100 * 86_400_000)
    bars: dict[Place, Bar] = {}
    for frame, bar in [*(("", bar) for bar in take_finals(engine)), *(one for part in take_beyond(engine) for one in part)]:
        bars[frame, f"{bar.broker}|{bar.symbol}".encode(), bar.bucket_start] = bar
    return bars


def compared(
    log: list[Entry], config: EngineConfig, bars: dict[Place, Bar], stretch: Stretch = ALL, *, cut: bool = False
) -> tuple[list[Difference], Outcome]:
    """What a backfill of this log says of these bars."""
    known = Published(POSITION, settled=True, bars=dict(bars), watermarks=dict.fromkeys(("A", "B", ""), FAR))
    outcome = Outcome()
    engine = Engine(replace(config, grace=stretch.lateness, correct=False, flat=(), idle_close=False))
    if cut:
        engine.restore(Counters(), UNKNOWN, {}, {}, [], CUT_AT_NEXT)
    comparison = Comparison(0, known, stretch, outcome)
    for begin in range(0, len(log), 7):
        engine.feed([wire(entry) for entry in log[begin : begin + 7]])
        comparison.take(engine)
    close_all(engine)
    comparison.take(engine)
    return comparison.finish(engine).found, outcome


@PROFILE
@given(log=logs(clock_steps=False), config=beyond_configs())
def test_bars_whose_late_ticks_were_all_corrected_do_not_differ(log: list[Entry], config: EngineConfig) -> None:
    config = replace(config, correct=True, correction_horizon=FAR, idle_close=True)
    found, outcome = compared(log, config, newest(log, config))
    assert found == []
    assert (outcome.late, outcome.open, outcome.cut) == (0, 0, 0)
    assert outcome.read == len(log)


@PROFILE
@given(log=logs(clock_steps=False), config=beyond_configs())
def test_revisions_of_what_differs_leave_nothing_that_differs(log: list[Entry], config: EngineConfig) -> None:
    config = replace(config, correct=False, idle_close=True)
    bars = newest(log, config)
    found, _ = compared(log, config, bars)
    event(f"differences: {bool(found)}")
    for one in found:
        assert one.kind in (Kind.changed, Kind.missing)
        assert one.revision == (1 if one.published is None else one.published.revision + 1)
        (step,) = unpacked([revision_of(one, 7, 6, 5, keeps_offsets=True)])
        ((window, symbol),) = zip(step.windows, step.symbols, strict=True)
        assert (one.place[1], window.end) == (symbol.key, step.end)
        ((_, value, _, _),) = take_records([step], [])
        bars[one.place] = decode_bar(value)
        assert bars[one.place].close_reason == "correction"
    assert compared(log, config, bars)[0] == []


LOG = ticks((0, 0), (66, 66), (67, 1), (130, 130), (200, 200))  # the third tick is late
CONFIG = EngineConfig()


def kinds(found: list[Difference]) -> list[tuple[int, str]]:
    return [((one.place[2] - ORIGIN) // MINUTE, str(one.kind)) for one in found]


def test_what_differs_is_changed_missing_or_unfounded() -> None:
    bars = newest(LOG, CONFIG)
    lost = {place: bar for place, bar in bars.items() if place[2] != ORIGIN + 2 * MINUTE}
    assert kinds(compared(LOG, CONFIG, bars)[0]) == [(0, "changed")]
    assert kinds(compared(LOG, CONFIG, lost)[0]) == [(0, "changed"), (2, "missing")]
    assert kinds(compared(LOG[:4], CONFIG, bars)[0]) == [(0, "changed"), (3, "unfounded")]


def test_only_windows_within_the_stretch_are_compared_and_only_whole_ones() -> None:
    bars = newest(LOG, CONFIG)
    found, outcome = compared(LOG, CONFIG, {}, Stretch(ORIGIN + MINUTE, ORIGIN + 3 * MINUTE, FAR))
    assert kinds(found) == [(1, "missing"), (2, "missing")]
    found, outcome = compared(LOG[1:], CONFIG, bars, cut=True)
    assert (kinds(found), outcome.cut) == ([], 2), "the ticks of the first two minutes may be gone"


@pytest.mark.parametrize(
    ("watermarks", "due", "left"),
    [
        ({"A": ORIGIN + 2 * MINUTE}, set(), {"open": 2}),
        ({"B": FAR}, set(), {"open": 4}),
        ({"A|x": FAR}, {("", b"A|x", ORIGIN)}, {"due": 1}),
    ],
)
def test_windows_that_are_open_or_about_to_be_revised_are_left_out(
    watermarks: dict[str, int], due: set[Place], left: dict[str, int]
) -> None:
    outcome = Outcome()
    comparison = Comparison(0, Published(POSITION, settled=True, due=due, watermarks=watermarks), ALL, outcome)
    engine = Engine(replace(CONFIG, grace=FAR, idle_close=False))
    engine.feed([wire(entry) for entry in LOG])
    close_all(engine)
    comparison.take(engine)
    assert {name: getattr(outcome, name) for name in left} == left
    assert len(comparison.finish(engine).found) == 4 - sum(left.values())


def test_a_flat_bar_is_no_bar() -> None:
    config = replace(CONFIG, flat=("base",))
    log = ticks((0, 0), (200, 200))
    bars = newest(log, config)
    assert compared(log, config, bars)[0] == []
    late = [*log, *[replace(entry, offset=2) for entry in ticks((201, 70))]]
    (found,) = compared(late, config, bars)[0]
    assert (found.kind, found.revision, found.place[2]) == (Kind.missing, 1, ORIGIN + MINUTE)
