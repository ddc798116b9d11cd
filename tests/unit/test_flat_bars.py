"""Flat bars: windows without a tick on a day on which the symbol has traded. The model of the properties knows them, too."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given

from agents import beyond
from app.errors import SettingsError
from app.settings import Settings
from app.settings.types import Delivery, ScopeKind
from tables.after_close import AfterClose
from tables.bar_formats.records import BarRecords, bar_of
from tables.bars import Bar
from tables.calendar import Calendar, Frame
from tables.config import EngineConfig
from tables.emission import take_records, unpacked
from tables.engine import Engine
from tables.flat import FlatWindows, filled
from tables.further import Item, is_longer
from tables.scopes import Longer, Scope
from tests.simulation.judge import judge
from tests.simulation.partition import run
from tests.simulation.steps import NEXT_WINDOW, TICK, Step
from tests.support.reference import Entry
from tests.unit.model import expected, shown, take_beyond, take_finals, wire
from tests.unit.test_beyond_simulation import FLAT, LATE
from tests.unit.test_engine_beyond import MINUTE, ORIGIN, check, ticks
from tests.unit.test_engine_properties import PROFILE, configs, last_arrival, logs

FLAT_BASE = EngineConfig(flat=("base",))
DAY_ENDS = ORIGIN % 86_400_000 + 4 * MINUTE  # `day_start` with which a day ends four minutes after the origin
Told = list[tuple[int, str, str, int, str]]


def told(bars: list[Bar]) -> Told:
    """Minute after the origin, symbol, close, ticks and reason of each bar."""
    return [((bar.bucket_start - ORIGIN) // MINUTE, bar.symbol, str(bar.close), bar.ticks, bar.close_reason) for bar in bars]


def engine_of(log: list[Entry], config: EngineConfig = FLAT_BASE) -> Engine:
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    return engine


def test_windows_without_a_tick_repeat_the_close_before_and_close_in_the_step_that_passes_them() -> None:
    bars = take_finals(engine_of(ticks((0, 0), (1, 1, "y"), (190, 190, "y"))))
    assert told(bars) == [
        *((0, "x", "100", 1, "idle"), (0, "y", "99", 1, "idle")),
        *((1, "x", "100", 0, "watermark"), (1, "y", "99", 0, "watermark")),
        *((2, "x", "100", 0, "watermark"), (2, "y", "99", 0, "watermark")),
    ]
    flat = bars[2]
    assert {flat.open, flat.high, flat.low, flat.close} == {Decimal(100)}
    assert (flat.volume, flat.vwap, flat.ticks) == (None, None, 0)
    assert (flat.first_offset, flat.last_offset, flat.first_ts, flat.last_ts) == (0, 0, ORIGIN, ORIGIN)
    assert (flat.closed_at, flat.closed_at_offset, flat.watermark) == (ORIGIN + 190_000, 2, ORIGIN + 185_000)


def test_a_symbol_has_none_before_it_trades_and_none_on_the_next_day() -> None:
    log = ticks((61, 61), (600, 600, "y"), (700, 700, "y"))
    bars = take_finals(engine_of(log, replace(FLAT_BASE, day_start=DAY_ENDS)))
    assert [bar[:2] for bar in told(bars) if not bar[3]] == [(2, "x"), (3, "x")]
    assert told(bars)[-1] == (10, "y", "99", 1, "idle")


def test_silence_publishes_none_until_the_next_step() -> None:
    engine = engine_of(ticks((0, 0)))
    engine.advance_arrival(ORIGIN + 3_600_000)
    assert [bar.ticks for bar in take_finals(engine)] == [1]
    assert not engine.any_due(1 << 60)


def test_a_late_tick_of_a_flat_bar_makes_its_revision_1_and_flat_bars_that_close_later_repeat_it() -> None:
    log = ticks((0, 0), (130, 130, "y"), (131, 61), (260, 260, "y"))
    engine = engine_of(log, replace(FLAT_BASE, correct=True))
    bars = [bar for bar in told(take_finals(engine)) if bar[1] == "x"]
    assert bars == [
        (0, "x", "100", 1, "idle"),
        (1, "x", "100", 0, "watermark"),
        (2, "x", "98", 0, "idle"),
        (3, "x", "98", 0, "watermark"),
    ]
    (_, revised), *others = take_beyond(engine)[1]
    assert (told([revised]), revised.revision, others) == ([(1, "x", "98", 1, "correction")], 1, [])


def test_a_late_tick_that_changes_the_close_before_leaves_the_flat_bars_that_are_published() -> None:
    log = ticks((0, 0), (130, 130, "y"), (131, 59), (260, 260, "y"))
    engine = engine_of(log, replace(FLAT_BASE, correct=True))
    bars = [bar for bar in told(take_finals(engine)) if bar[1] == "x" and not bar[3]]
    assert bars == [(1, "x", "100", 0, "watermark"), (2, "x", "98", 0, "idle"), (3, "x", "98", 0, "watermark")]
    assert told([bar for _, bar in take_beyond(engine)[1]]) == [(0, "x", "98", 2, "correction")]


def test_a_symbol_that_a_late_tick_begins_has_none_where_the_first_step_of_its_scope_had_passed() -> None:
    log = ticks((125, 125, "y"), (126, 10), (200, 200, "y"))
    bars = take_finals(engine_of(log, replace(FLAT_BASE, correct=True)))
    assert [bar[:2] for bar in told(bars) if not bar[3]] == [(2, "x")]
    check_bars(log, flat=("base",))


def test_the_steps_of_a_long_silence_share_the_list_of_their_symbols() -> None:
    engine = engine_of(ticks((0, 0), (1, 1, "y"), (6_000, 6_000, "z")))
    steps = [step for step in engine.take_closed() if step.closes is not None]
    assert len(steps) == 98
    assert len({id(step.symbols) for step in steps}) == len({id(step.closes) for step in steps}) == 1
    assert sum(len(part.windows) for part in unpacked(steps)) == 196


@PROFILE
@given(log=logs(), config=configs())
def test_a_reader_who_fills_the_bars_gets_the_same(log: list[Entry], config: EngineConfig) -> None:
    assume(config.window_size >= MINUTE)
    published = [bar for bar in take_all(log, replace(config, flat=("base",))) if bar.bucket_end <= last_arrival(log) + 10**9]
    frame, calendar = Frame(0, config.window_size, ""), Calendar()
    for name in {(bar.broker, bar.symbol) for bar in published}:
        ours = [bar for bar in published if (bar.broker, bar.symbol) == name]
        until = max(bar.bucket_end for bar in ours)
        again = list(filled((bar for bar in ours if bar.ticks), calendar, frame, until))
        assert [prices(bar) for bar in again] == [prices(bar) for bar in ours]
        assert [prices(bar) for bar in filled(ours, calendar, frame, until)] == [prices(bar) for bar in ours]


def take_all(log: list[Entry], config: EngineConfig) -> list[Bar]:
    engine = engine_of(log, config)
    engine.advance_arrival(last_arrival(log) + 10**9)
    return take_finals(engine)


def prices(bar: Bar) -> tuple[object, ...]:
    """What a chart shows."""
    return (
        bar.bucket_start,
        bar.bucket_end,
        *map(str, (bar.open, bar.high, bar.low, bar.close)),
        bar.volume,
        bar.vwap,
        bar.ticks,
    )


@PROFILE
@given(log=logs(), config=configs())
def test_flat_bars_change_no_other_bar(log: list[Entry], config: EngineConfig) -> None:
    assume(config.window_size >= MINUTE)
    plain, flat = take_all(log, config), take_all(log, replace(config, flat=("base",)))
    assert [shown(bar) for bar in flat if bar.ticks] == [shown(bar) for bar in plain]


@pytest.mark.parametrize("form", ["json", "avro", "protobuf"])
def test_flat_bars_are_the_same_in_every_format(form: str) -> None:
    log = ticks((0, 0), (190, 190, "y"), (400, 400))
    wanted = take_finals(engine_of(log))
    assert any(not bar.ticks for bar in wanted)
    take = take_records if form == "json" else BarRecords(form, 7, 9).take
    records = list(take(unpacked(engine_of(log).take_closed()), []))
    assert [shown(bar_of(value, headers)) for _, value, _, headers in records] == [shown(bar) for bar in wanted]


def test_a_flat_bar_whose_close_may_not_have_been_the_last_is_partial() -> None:
    def bars(cut_at: int) -> list[bool]:
        engine = Engine(FLAT_BASE)
        engine.feed([wire(entry) for entry in ticks((0, 0), (62, 62), (63, 63, "y"))])
        engine.windows.cut = ORIGIN + cut_at
        engine.feed([wire(replace(ticks((250, 250, "y"))[0], offset=3))])
        return [bool(bar.partial) for bar in take_finals(engine) if bar.symbol == "x" and not bar.ticks]

    assert bars(59_000) == [False, False]
    assert bars(60_000) == [True, True]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({}, "empty=flat: there are no frames below a day; set frames, or empty_frames=base"),
        ({"frames": "1d"}, "empty=flat: there are no frames below a day"),
        ({"empty_frames": "5m"}, "empty_frames=5m: 5m is none of frames=; base is the base window"),
        ({"frames": "5m,1d", "empty_frames": "1d"}, "empty_frames=1d: 1d has a tick on every day of trading"),
        ({"frames": "5m", "empty_frames": "5m, 5m"}, "empty_frames=5m,5m: a frame comes twice"),
        ({"empty": "none", "empty_frames": "base"}, "empty_frames=base is for empty=flat"),
        ({"empty_frames": "base", "day_zone": "Asia/Kolkata", "window_size": "1h"}, "the day begins inside a window"),
    ],
)
def test_settings_that_ask_for_flat_bars_where_there_can_be_none_are_refused(others: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.load(**{"empty": "flat"} | others)


def test_by_default_all_frames_below_a_day_have_flat_bars_and_the_base_has_none() -> None:
    assert Settings.load(frames="5m,1h,1d").flat_frames == ()
    assert Settings.load(frames="5m,1h,1d", empty="flat").flat_frames == ("5m", "1h")
    assert Settings.load(frames="5m,1h,1d", empty="flat", empty_frames="base, 1h").flat_frames == ("base", "1h")


def without_day(self: FlatWindows, end: int) -> int:
    """A day never ends."""
    return 1 << 60


def without_flat_end(self: Scope, grace: int) -> None:
    self.flat_end = 1 << 62
    original_settle(self, grace)


def only_the_first(self: FlatWindows, scope: Scope, longer: Longer, *more: Any) -> None:
    if longer.close is None:
        original_note(self, scope, longer, *more)


original_settle, original_note, original_record = Scope.settle, FlatWindows._note, AfterClose.record_of
BOTH_FLAT: dict[str, Any] = {"frames": ("5m",), "flat": ("base", "5m")}


@pytest.mark.parametrize(
    ("owner", "name", "broken", "log", "others"),
    [
        (FlatWindows, "_day_end", without_day, ticks((61, 61), (600, 600, "y"), (700, 700, "y")), {"day_start": DAY_ENDS}),
        (FlatWindows, "corrected", lambda *_: None, ticks((0, 0), (130, 130, "y"), (131, 61), (260, 260, "y")), {}),
        (FlatWindows, "_note", only_the_first, ticks((0, 0), (62, 62), (190, 190)), {}),
        (Scope, "settle", without_flat_end, ticks((0, 0), (66, 66, "y"), (126, 126, "y"), (250, 250, "y")), {}),
        (FlatWindows, "pass_to", lambda *_: None, ticks((0, 0), (190, 190)), {}),
    ],
    ids=[
        "a close of yesterday is repeated",
        "late ticks change no later flat bar",
        "the first close of the day is repeated",
        "a tick passes a window without a step",
        "there are no flat bars",
    ],
)
def test_the_model_finds_a_rule_of_flat_bars_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, log: list[Entry], others: dict[str, Any]
) -> None:
    check_bars(log, **BOTH_FLAT, **others)
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        check_bars(log, **BOTH_FLAT, **others)


def check_bars(log: list[Entry], **others: Any) -> None:
    """Compare all bars with the model."""
    config = EngineConfig(correct=True, **others)
    got, wanted = take_finals(engine_of(log, config)), expected(log, config).bars
    assert [shown(bar) for bar in got] == [shown(bar) for bar in wanted]
    check(log, **others)


IN_THE_TAIL: list[Step] = [  # flat bars are published at once, and the worker crashes before its checkpoint
    *(TICK, NEXT_WINDOW, ("read", 2), ("checkpoint", None), ("tick", 66_000, 2, 0, "tick"), ("tick", 66_000, 2, 0, "tick")),
    *(("read", 2), ("deliver", 5), ("crash",), ("tick", 66_000, 2, 0, "tick")),
]
CLOSES_STORED: list[Step] = [
    *(TICK, ("tick", 66_000, 2, 0, "tick"), ("read", 2), ("checkpoint", None), ("crash",), ("tick", 200_000, 2, 0, "tick")),
]


def published_again(self: FlatWindows, into: Any, _: Any) -> int:
    return original_move(self, into, None)


def without_close(self: AfterClose, item: Item) -> bytes | None:
    if is_longer(item):
        close, item.close = item.close, None
        try:
            return original_record(self, item)
        finally:
            item.close = close
    return original_record(self, item)


original_move = FlatWindows.move_closed


@pytest.mark.parametrize(
    ("owner", "name", "broken", "steps"),
    [
        (FlatWindows, "move_closed", published_again, IN_THE_TAIL),
        (AfterClose, "record_of", without_close, CLOSES_STORED),
        (FlatWindows, "restore", lambda *_: None, CLOSES_STORED),
    ],
    ids=["flat bars of the tail are published again", "closes are not stored", "closes are not restored"],
)
def test_the_simulation_fails_when_a_rule_of_flat_bars_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, steps: list[Step]
) -> None:
    judge(asyncio.run(run(steps, ScopeKind.BROKER, **FLAT)))
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, ScopeKind.BROKER, **FLAT)))


@pytest.mark.parametrize("delivery", list(Delivery))
def test_flat_bars_carry_no_state_to_be_corrected(delivery: Delivery) -> None:
    simulation = asyncio.run(
        run([*CLOSES_STORED, ("read", 9), ("checkpoint", None), ("crash",), LATE], ScopeKind.BROKER, delivery, **FLAT)
    )
    judge(simulation)
    for topic in (simulation.settings.finals_topic, *simulation.settings.beyond_topics):
        for row in simulation.topics.committed(topic):
            bar = bar_of(row.value or b"", row.headers)
            assert (beyond.STATE_HEADER in dict(row.headers)) == bool(bar.ticks)
