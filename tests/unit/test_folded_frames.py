"""Longer bars that are folded from published base bars equal those that the engine publishes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec import UNSET

from tables import folding
from tables.bars import Bar
from tables.calendar import Calendar, frame_of
from tables.config import EngineConfig
from tables.engine import Engine
from tables.folded_frames import fold_frame, is_closed
from tables.scopes import UNKNOWN
from tables.state import CUT_AT_NEXT, Counters
from tests.support.reference import Entry
from tests.unit.model import take_beyond, take_finals, wire
from tests.unit.test_engine_beyond import beyond_configs
from tests.unit.test_engine_properties import PROFILE, last_arrival, logs

MINUTE = 60_000
EVIDENCE = ("close_reason", "closed_at", "watermark", "closed_at_offset", "revision", "corrected", "partial", "vwap")
Key = tuple[str, str, str]  # frame, broker, symbol
Newest = dict[Key, dict[int, Bar]]


def newest_of(bars: Iterable[tuple[str, Bar]]) -> Newest:
    """The newest revision of each bar, by start."""
    found: Newest = {}
    for frame, bar in bars:
        of_key = found.setdefault((frame, bar.broker, bar.symbol), {})
        known = of_key.get(bar.bucket_start)
        if known is None or known.revision < bar.revision:
            of_key[bar.bucket_start] = bar
    return found


def watermark_of(engine: Engine, broker: str, symbol: str) -> int:
    """How far the scope of a symbol has come."""
    windows, key = engine.windows, f"{broker}|{symbol}".encode()
    if not windows.per_symbol:
        stream_time = windows.scope_of((broker, symbol)).stream_time
    elif key in windows.symbols:
        stream_time = windows.symbols[key].scope.stream_time
    else:
        stream_time = windows.resting[key].stream_time
    return stream_time - engine.config.grace


def shown(bar: Bar) -> list[str]:
    """What a longer bar says of its ticks, digit for digit."""
    return [str(getattr(bar, name)) for name in Bar.__struct_fields__ if name not in EVIDENCE]


def in_order(of_key: dict[int, Bar]) -> list[Bar]:
    return [of_key[start] for start in sorted(of_key)]


@PROFILE
@given(log=logs(clock_steps=False), config=beyond_configs(), data=st.data())
def test_a_fold_of_the_newest_base_bars_gives_the_longer_bars_of_the_engine(
    log: list[Entry], config: EngineConfig, data: st.DataObject
) -> None:
    cut = data.draw(st.booleans(), label="records before the first one were not read")
    config = replace(config, frames=config.frames or ("2m", "1h", "1d"))
    engine = Engine(config, log[0].offset)
    if cut:
        engine.restore(Counters(), UNKNOWN, {}, {}, [], CUT_AT_NEXT)
    engine.feed([wire(entry) for entry in log])
    engine.advance_arrival(last_arrival(log) + 100 * 86_400_000)
    longer, revised = take_beyond(engine)
    newest = newest_of([*(("", bar) for bar in take_finals(engine)), *longer, *revised])
    calendar, folds = Calendar("UTC", config.day_start), 0
    ahead = any(entry.ts > entry.arrival for entry in log)
    for (base, broker, symbol), of_key in newest.items():
        if base:
            continue
        watermark = watermark_of(engine, broker, symbol)
        for frame in config.frames:
            folded = list(fold_frame(in_order(of_key), frame_of(frame), calendar, watermark=watermark, cut=engine.cut))
            closed = [*filter(is_closed, folded)]
            published = [bar for bar in in_order(newest.get((frame, broker, symbol), {})) if bar.ticks]  # no flat ones
            assert [*map(shown, closed)] == [*map(shown, published)]
            for found, wanted in zip(closed, published, strict=True):
                assert found.close_reason == "folded"
                assert (found.vwap is None) == (wanted.vwap is None)
                if found.vwap is not None and wanted.vwap is not None:
                    assert abs(found.vwap - wanted.vwap) <= Decimal("1e-8")
                assert ahead or found.partial is wanted.partial  # bars do not say when their first tick arrived
            folds += len(closed)
    event(f"folds: {bool(folds)}, revisions: {bool(revised)}")


def bar(minute: int, **others: object) -> Bar:
    """A bar of one minute."""
    one = Decimal(1)
    # fmt: off
    plain = Bar(
        "A", "x", minute * MINUTE, minute * MINUTE + MINUTE, one, one, one, one, None, None, 1,
        minute * MINUTE, minute * MINUTE, "watermark", minute * MINUTE + MINUTE, minute * MINUTE + MINUTE,
        minute, minute, minute,
    )
    # fmt: on
    return msgspec.structs.replace(plain, **others)


def fold(*bars: Bar, frame: str = "5m", **others: Any) -> list[Bar]:
    return list(fold_frame(bars, frame_of(frame), Calendar(), **others))


def part_of_bar(*, ticks: int, partial: bool, price: int, quantity: bool) -> dict[str, Any]:
    """What sets a bar apart: a flat one has neither ticks nor a volume."""
    value = Decimal(price)
    traded: dict[str, Any] = {"volume": Decimal(3), "vwap": value} if quantity and ticks else {}
    more: dict[str, Any] = {"partial": True} if partial else {}
    return {"ticks": ticks, "open": value, "high": value, "low": value, "close": value, **traded, **more}


def test_the_last_window_of_a_fold_is_open_until_a_watermark_says_that_it_has_ended() -> None:
    assert [is_closed(found) for found in fold(bar(0), bar(3), bar(6))] == [True, False]
    assert [is_closed(found) for found in fold(bar(0), bar(3))] == [False]
    assert [is_closed(found) for found in fold(bar(0), bar(4))] == [True]
    assert [is_closed(found) for found in fold(bar(0), bar(3), watermark=5 * MINUTE)] == [True]


def test_flat_bars_make_no_longer_bar_and_tell_how_far_time_has_come() -> None:
    found = fold(bar(0), bar(1, ticks=0), bar(4, ticks=0), bar(5, ticks=0))
    assert [(one.bucket_start, one.ticks, is_closed(one)) for one in found] == [(0, 1, True)]


def test_of_equal_prices_the_text_of_the_first_stays() -> None:
    first, second = Decimal("1.0"), Decimal("1.00")
    found = fold(bar(0, high=first, low=first), bar(1, high=second, low=second))[0]
    assert (str(found.high), str(found.low)) == ("1.0", "1.0")


def test_a_fold_is_partial_where_a_bar_inside_is_or_where_reading_began_inside() -> None:
    assert [found.partial for found in fold(bar(0), bar(1, partial=True), bar(5))] == [True, UNSET]
    assert [found.partial for found in fold(bar(4), bar(5), bar(14), cut=6 * MINUTE)] == [UNSET, True, UNSET]


def test_a_flat_bar_whose_window_may_lack_ticks_makes_the_longer_bar_partial() -> None:
    assert [found.partial for found in fold(bar(0, ticks=0, partial=True), bar(1), bar(5))] == [True, UNSET]
    assert [found.partial for found in fold(bar(0), bar(1, ticks=0, partial=True), bar(5))] == [True, UNSET]


PARTS = st.builds(part_of_bar, ticks=st.integers(0, 3), partial=st.booleans(), price=st.integers(1, 9), quantity=st.booleans())


@given(st.lists(PARTS, min_size=1, max_size=12))
def test_every_reader_folds_alike(parts: list[dict[str, Any]]) -> None:
    """What `app bars` prints of a window is the fold that the API shows, with `bars_scale` too; flat windows are left out."""
    bars = [bar(minute, **others) for minute, others in enumerate(parts)]
    spans = [(begin * MINUTE, (begin + 5) * MINUTE, bars[begin : begin + 5]) for begin in range(0, len(bars), 5)]
    for scale in (None, 3, 18):
        whole = [folding.fold(inside, start, end, scale) for start, end, inside in spans]
        expected = [msgspec.structs.asdict(one) | {"partial": one.partial or UNSET} for one in whole if one.ticks]
        found = fold(*bars, scale=scale)
        for one, wanted in zip(found, expected, strict=True):
            del wanted["folded"]
            assert {name: getattr(one, name) for name in wanted} == wanted


def test_the_revision_of_a_fold_rises_with_each_revision_inside() -> None:
    assert [found.revision for found in fold(bar(0, revision=2, corrected=1), bar(2, revision=1), bar(7))] == [3, 0]


def test_a_vwap_without_all_decimals_is_rounded_like_those_inside() -> None:
    bars = (
        bar(0, volume=Decimal(1), vwap=Decimal("1.1")),
        bar(1, volume=Decimal(2), vwap=Decimal("1.2")),
        bar(2),
        bar(3, volume=Decimal(0)),
    )
    found = fold(*bars, scale=3)[0]
    assert (str(found.volume), str(found.vwap)) == ("3", "1.167")


def test_bars_that_no_fold_can_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="comes after one that ends at 180000"):
        fold(bar(2), bar(2))
    with pytest.raises(ValueError, match="crosses the end of its 90s window"):
        fold(bar(0), bar(1), frame="90s")
