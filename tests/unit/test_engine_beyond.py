"""Corrections and longer frames against the reference model: any log, any slicing, any timer calls, every scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tables import corrections, longer, native
from tables.after_close import AfterClose
from tables.bars import Bar
from tables.calendar import Calendar
from tables.config import EngineConfig
from tables.engine import Engine
from tables.kept import KeptWindows
from tables.scopes import UNKNOWN, Longer, Scope
from tables.silence import Silence
from tables.state import CUT_AT_NEXT, Counters
from tests.support import reference
from tests.support.reference import Answer, Entry
from tests.support.reference_records import parsed
from tests.unit.model import expected, shown, take_beyond, take_finals, wire
from tests.unit.test_engine_properties import PROFILE, T0, configs, last_arrival, logs, quiet_times

SECOND, MINUTE = 1_000, 60_000
ORIGIN = T0 + MINUTE  # a quarter of an hour
DAY_AT = T0 % 86_400_000 + 3 * MINUTE  # a day that begins within the logs
Framed = Iterable[tuple[str, Bar | reference.Bar]]


@st.composite
def beyond_configs(draw: st.DrawFn) -> EngineConfig:
    """Settings with corrections, frames, flat bars, or several. Days may begin within the logs, which cuts a window."""
    config = draw(configs())
    sets = [(), ("5m", "7m"), ("2m", "4m", "12m", "1h", "1d"), ("3m", "1d"), ("1d",)]
    frames = draw(st.sampled_from(sets))
    short = [frame for frame in frames if frame != "1d"] + ["base"] * (config.window_size >= MINUTE)
    flat = tuple(draw(st.lists(st.sampled_from(short), unique=True))) if short else ()
    return replace(
        config,
        correct=not (frames or flat) or draw(st.booleans()),
        flat=flat,
        correction_horizon=draw(st.sampled_from((600_000, 600_000, 60_000, 0))),
        correction_delay=draw(st.sampled_from((5_000, 5_000, 0, 1, 40_000))),
        frames=frames,
        day_start=draw(st.sampled_from((0, DAY_AT, DAY_AT + 7 * MINUTE))),
    )


def compare(found: tuple[Framed, Framed], answer: Answer) -> None:
    """The bars of each topic, in order."""
    for got, wanted in zip(found, (answer.longer, answer.revised), strict=True):
        for frame in {frame for frame, _ in [*got, *wanted]}:
            assert [shown(bar) for of, bar in got if of == frame] == [shown(bar) for of, bar in wanted if of == frame]


@PROFILE
@given(log=logs(), config=beyond_configs(), data=st.data())
def test_every_slicing_and_every_timer_call_gives_the_longer_and_the_revised_bars_of_the_model(
    log: list[Entry], config: EngineConfig, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log))), label="slices end before") | {len(log)})
    look = data.draw(st.sampled_from(cuts), label="compared here as well")
    silence = data.draw(st.sampled_from((1, 5_000, 65_000, 10**9)), label="silence at the end")
    cut = data.draw(st.booleans(), label="records before the first one were not read")
    engine, bars, side = Engine(config, log[0].offset), [], []
    beyond: tuple[list[tuple[str, Bar]], list[tuple[str, Bar]]] = [], []
    if cut:
        engine.restore(Counters(), UNKNOWN, {}, {}, [], CUT_AT_NEXT)
    quiet = quiet_times(log)
    read = [parsed(wire(entry)) for entry in log]

    def take() -> None:
        bars.extend(take_finals(engine))
        for kept, new in zip(beyond, take_beyond(engine), strict=True):
            kept.extend(new)

    for begin, end in pairwise([0, *cuts]):
        for _ in range(data.draw(st.sampled_from((0, 0, 1, 3)), label="timer calls")):
            engine.advance_arrival(data.draw(st.integers(*quiet[begin]), label="nothing until"))
        engine.feed([wire(entry) for entry in log[begin:end]])
        if data.draw(st.booleans(), label="taken"):
            take()
        if end == look:
            take()
            so_far = expected(read[:end], config, cut=cut)
            assert [shown(bar) for bar in bars] == [shown(bar) for bar in so_far.bars]
            compare(beyond, so_far)
    until = last_arrival(log) + silence
    engine.advance_arrival(until)
    take()
    side += engine.take_side()
    answer = expected(read, config, until, cut=cut)
    assert [shown(bar) for bar in bars] == [shown(bar) for bar in answer.bars]
    compare(beyond, answer)
    late = "expired" if config.correct else "late"
    assert [(s.offset, s.reason) for s in side if s.kind == "late"] == [
        (at, late) for at, kind, _ in answer.side if kind == "late"
    ]
    counters = engine.counters
    counted = {name: getattr(counters, name) for name in ("read", "binned", "corrected", "late", "rejected", "heartbeats")}
    assert counted == {name: answer.counts[name] for name in counted}
    assert counters.balanced()
    event(f"longer bars: {bool(beyond[0])}, revisions: {bool(beyond[1])}, scope {config.scope}")


@PROFILE
@given(log=logs(), config=configs())
def test_corrections_change_no_base_bar(log: list[Entry], config: EngineConfig) -> None:
    finals = []
    for engine in (Engine(config), Engine(replace(config, correct=True))):
        engine.feed([wire(entry) for entry in log])
        engine.advance_arrival(last_arrival(log) + 10**9)
        finals.append([shown(bar) for bar in take_finals(engine)])
    assert finals[0] == finals[1]


@PROFILE
@given(log=logs(), config=beyond_configs())
def test_the_last_version_of_each_window_is_the_fold_of_its_ticks_and_each_tick_is_in_one_or_late(
    log: list[Entry], config: EngineConfig
) -> None:
    config = replace(config, idle_close=True)
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    engine.advance_arrival(last_arrival(log) + 100 * 86_400_000)
    last: dict[tuple[str, str, str, int], Bar] = {}
    bars = [("", bar) for bar in take_finals(engine)]
    for kind in take_beyond(engine):
        bars += kind
    traded = {(frame, bar.broker, bar.symbol, bar.bucket_start) for frame, bar in bars if bar.ticks and not bar.revision}
    flat = [(frame, bar.broker, bar.symbol, bar.bucket_start) for frame, bar in bars if not bar.ticks]
    assert len(flat) == len(set(flat)), "a flat bar twice"
    assert not traded & set(flat)
    for frame, bar in bars:
        key = frame, bar.broker, bar.symbol, bar.bucket_start
        if not bar.ticks:
            continue
        before = last.get(key)
        assert bar.revision == before.revision + 1 if before is not None else bar.revision in (0, 1)
        last[key] = bar
    beside = {side.offset for side in engine.take_side()}
    ticks = [entry for entry in map(parsed, map(wire, log)) if not (entry.heartbeat or entry.marker or entry.offset in beside)]
    rules = reference.Rules(day_start=config.day_start)
    wanted: dict[tuple[str, str, str, int], list[Entry]] = {}
    for tick in ticks:
        start = tick.ts - tick.ts % config.window_size
        wanted.setdefault(("", tick.broker, tick.symbol, start), []).append(tick)
        for frame in config.frames:
            length = {"m": MINUTE, "h": 60 * MINUTE, "d": 86_400_000}[frame[-1]] * int(frame[:-1])
            wanted.setdefault((frame, tick.broker, tick.symbol, rules.span(length, start)[0]), []).append(tick)
    assert last.keys() == wanted.keys()
    for key, folded in wanted.items():
        bar, fold = last[key], reference.bar_of((last[key].bucket_end, *key[1:3]), folded, 0)
        for name in (
            "open",
            "high",
            "low",
            "close",
            "volume",
            "vwap",
            "ticks",
            "first_ts",
            "last_ts",
            "first_offset",
            "last_offset",
        ):
            assert str(getattr(bar, name)) == str(getattr(fold, name)), name
    assert engine.open_windows == 0
    after = engine.windows.after
    assert after is not None
    assert after.longer is None or after.longer.count == 0


def ticks(*told: tuple[float, float] | tuple[float, float, str]) -> list[Entry]:
    """Arrival and event time of each tick in seconds after the origin, and its symbol; the prices fall."""
    return [
        Entry(
            offset,
            ORIGIN + int(at * SECOND),
            "A",
            "".join(name) or "x",
            ORIGIN + int(ts * SECOND),
            Decimal(100 - offset),
        )
        for offset, (at, ts, *name) in enumerate(told)
    ]


def check(log: list[Entry], **others: Any) -> None:
    """Compare the engine with the model, record by record, then after a long silence."""
    config = EngineConfig(correct=True, **others)
    engine, answer, until = Engine(config), expected(log, config), last_arrival(log) + 10**9
    for entry in log:
        engine.feed([wire(entry)])
    found = take_beyond(engine)
    compare(found, answer)
    engine.advance_arrival(until)
    last, answer = take_beyond(engine), expected(log, config, until)
    compare((found[0] + last[0], found[1] + last[1]), answer)
    assert engine.counters.corrected == answer.counts["corrected"]


def nothing(*_: Any, **__: Any) -> None:
    """It does not happen."""


def nothing_before(self: Silence, before: int, *, in_tail: bool = False) -> None:
    """Only the timer says that time has passed."""
    if before > ORIGIN + 10**8:
        original_pass(self, before, in_tail=in_tail)


def not_in_between(self: AfterClose, before: int, next_offset: int, cut: int) -> None:
    """Revisions are published after all that silence closes."""
    if self.corrections is not None and before > ORIGIN + 999 * SECOND:
        self.corrections.publish(before, next_offset, cut, self._names)


def without_number(self: KeptWindows, scope: Scope, frame: int, end: int, key: bytes, state: Any) -> None:
    original_put(self, scope, frame, end, key, state[1])


def not_kept(self: KeptWindows, scope: Scope, frame: int, *kept: Any) -> None:
    """Longer windows that have closed are not kept."""
    if frame == 0:
        original_keep(self, scope, frame, *kept)


def without_longer(self: Scope, grace: int) -> None:
    self.deadline = min(self.buckets) + grace if self.buckets else longer_than_any


def by_silence_only(self: longer.LongerWindows, scope: Scope, evidence: longer.Evidence) -> list[Longer]:
    return original_close_due(self, scope, evidence) if evidence.reason == "idle" else []


def uncut(self: Calendar, frame: Any, time: int) -> tuple[int, int]:
    start, end = original_window(self, frame, time)
    return start, start + (frame.size or end - start)


def around_without_gathered(self: longer.LongerWindows, start: int) -> list[tuple[tuple[int, int], int]]:
    return [(span, UNKNOWN) for span, _ in original_around(self, start)]


original_pass, original_around = Silence.pass_to, longer.LongerWindows.around
original_put, original_keep = KeptWindows.put, KeptWindows.keep
original_close_due = longer.LongerWindows.close_due
original_window, longer_than_any = Calendar.window, 1 << 62
FRAMES = {"frames": ("5m", "15m")}
ONE_LATE = ticks((0, 0), (66, 66), (67, 1), (80, 80))
LATE_TWICE = ticks((0, 0), (66, 66), (67, 1), (69, 2), (80, 80), (81, 3))
BURST = ticks((400, 0), (400, 66), (400, 126), (400, 186), (400, 246), (400, 306))
IN_THE_OPEN = ticks((0, 0), (66, 66), (67, 1), (130, 130))


@pytest.mark.parametrize(
    ("owner", "name", "broken", "log", "others"),
    [
        (corrections.Corrections, "reaches", lambda *_: True, ticks((0, 0), (66, 66), (700, 700), (701, 1)), {}),
        (corrections.Corrections, "reaches", lambda *_: False, ONE_LATE, {}),
        (KeptWindows, "keep", nothing, ONE_LATE, {}),
        (KeptWindows, "put", nothing, LATE_TWICE, {}),
        (KeptWindows, "put", without_number, LATE_TWICE, {}),
        (KeptWindows, "keep", not_kept, ticks((0, 0), (400, 400), (401, 1)), FRAMES),
        (AfterClose, "publish_revisions", not_in_between, ticks((0, 0), (66, 66), (67, 1), (400, 400)), {}),
        (longer.LongerWindows, "gather_late", lambda *_: False, IN_THE_OPEN, FRAMES),
        (longer.LongerWindows, "around", around_without_gathered, IN_THE_OPEN, FRAMES),
        (longer.LongerWindows, "close_due", by_silence_only, BURST, FRAMES),
        (Scope, "is_longer_only", lambda *_: True, ticks((0, 0), (66, 66), (300, 299.9), (304, 250, "y")), FRAMES),
        (Scope, "is_longer_only", lambda *_: False, ticks((0, 0), (900, 70)), FRAMES),
        (Scope, "settle", without_longer, ticks((0, 0), (66, 66), (126, 126), (306, 306)), {"frames": ("3m", "15m")}),
        (Silence, "pass_to", nothing_before, ticks((0, 0), (66, 66), (250, 1), (250, 67)), FRAMES),
        (Calendar, "window", uncut, ticks((0, 0), (400, 400)), {"frames": ("7m",), "day_start": DAY_AT}),
    ],
    ids=[
        "the horizon has no end",
        "nothing can be corrected",
        "closed windows are not kept",
        "revised windows are not kept",
        "revisions are not counted",
        "longer windows that have closed are not kept",
        "revisions wait for what silence closes later",
        "a late tick is not in the open longer window",
        "a late tick is twice in the longer of two open windows",
        "a tick closes no longer windows",
        "a longer window closes before a window inside it",
        "silence closes no longer window alone",
        "a tick closes no longer window that has none inside",
        "nothing is due before a record",
        "the last window of a day is not cut",
    ],
)
def test_the_model_finds_a_rule_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, log: list[Entry], others: dict[str, Any]
) -> None:
    if owner is Scope:
        monkeypatch.setattr(native, "NATIVE", None)  # whose scopes are others
    check(log, **others)
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises((AssertionError, IndexError)):
        check(log, **others)
