"""Bars folded on the fly equal the longer bars that the engine makes of the same ticks, closed or open, revised or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.readmodel.queries import Queries
from app.readmodel.rows import BarRow
from app.readmodel.store import Store
from app.settings import Settings
from app.web import folding, longer_windows, sampling
from app.web.errors import InvalidParametersError
from app.web.folding import FoldedPage, Known, Wanted, folded_page
from app.web.frames import Frames
from app.web.models.bars import FoldedBar
from tables.bars import Bar, encode_bar
from tables.calendar import Calendar, frame_of
from tables.config import EngineConfig
from tables.engine import Engine
from tables.folding import Folded, Part, fold
from tests.support.reference import Entry
from tests.unit.model import take_beyond, take_finals, wire
from tests.unit.test_engine_properties import PROFILE, configs, last_arrival, logs

MINUTE = 60_000
START = 1_399_248_000_000
SAME = ("open", "high", "low", "close", "volume", "ticks", "first_ts", "last_ts", "first_offset", "last_offset")
FRAMES = ("2m", "5m", "1h")


def same(one: object) -> list[str]:
    """What must be equal, digit for digit."""
    return [str(getattr(one, name)) for name in SAME]


def close_to(vwap: Decimal | None, exact: Decimal | None) -> bool:
    """Whether the last of eight decimals is off by one at most."""
    return vwap == exact or (vwap is not None and exact is not None and abs(vwap - exact) <= Decimal("0.00000001"))


@PROFILE
@given(log=logs(), config=configs(), correct=st.booleans(), day_start=st.sampled_from((0, 3 * MINUTE)))
def test_a_fold_of_the_newest_base_bars_is_the_newest_longer_bar(
    log: list[Entry], config: EngineConfig, *, correct: bool, day_start: int
) -> None:
    config = replace(config, idle_close=True, correct=correct, frames=FRAMES, day_start=day_start)
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    engine.advance_arrival(last_arrival(log) + 100 * 86_400_000)
    newest: dict[tuple[str, str, str, int], Bar] = {}
    for frame, bar in [("", bar) for bar in take_finals(engine)] + [one for kind in take_beyond(engine) for one in kind]:
        newest[frame, bar.broker, bar.symbol, bar.bucket_start] = bar
    calendar = Calendar("UTC", day_start)
    groups: dict[tuple[str, str, str, int], list[Bar]] = {}
    for (frame, broker, symbol, start), bar in sorted(newest.items()):
        if not frame:
            for name in FRAMES:
                groups.setdefault((name, broker, symbol, calendar.window(frame_of(name), start)[0]), []).append(bar)
    assert set(groups) == {key for key in newest if key[0]}
    for key, parts in groups.items():
        longer = newest[key]
        folded = fold(parts, longer.bucket_start, longer.bucket_end)
        assert same(folded) == same(longer)
        assert close_to(folded.vwap, longer.vwap)


@PROFILE
@given(log=logs(), config=configs())
def test_an_open_longer_window_has_the_closed_and_the_open_windows_inside_it(log: list[Entry], config: EngineConfig) -> None:
    config = replace(config, frames=FRAMES)
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    bars = take_finals(engine)
    closed = {(frame, bar.broker, bar.symbol, bar.bucket_start) for frame, bar in take_beyond(engine)[0]}
    keys = {f"{bar.broker}|{bar.symbol}".encode() for bar in bars} | set(engine.symbols)
    for key in keys:
        broker, symbol = key.decode().split("|")
        opened = sampling.windows_by_key(engine, 0, [key])
        parts: list[Part] = [bar for bar in bars if (bar.broker, bar.symbol) == (broker, symbol)]
        parts += sorted(opened, key=lambda window: window.bucket_start)
        for name in FRAMES:
            groups: dict[tuple[int, int], list[Part]] = {}
            for part in parts:
                groups.setdefault(Calendar().window(frame_of(name), part.bucket_start), []).append(part)
            expected = [
                (span, same(fold(inside, *span)))
                for span, inside in sorted(groups.items())
                if (name, broker, symbol, span[0]) not in closed
            ]
            found = longer_windows.of_key(engine, 0, key, name)
            assert [((one.bucket_start, one.bucket_end), same(one)) for one in found] == expected
            assert [one.frame for one in found] == [name] * len(found)
            in_open = sum(window.ticks for window in opened)
            assert sum(one.ticks_in_open or 0 for one in found) == in_open


# ---- pages


def bar(start: int, revision: int = 0, ticks: int = 3, symbol: str = "A", price: str = "1.5") -> Bar:
    one = Decimal(price)
    times = start, start + MINUTE - 1, "watermark", start + MINUTE, start + MINUTE, 0, 9, 10, revision
    return Bar("fx", symbol, start, start + MINUTE, one, one, one, one, None, None, ticks, *times)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "model.sqlite", {"app_id": "a"}, 100_000, ("5m",))
    yield made
    made.close()


def put(store: Store, *bars: Bar, partition: int = 0) -> None:
    rows = [BarRow(one.broker, one.symbol, partition, one.bucket_start, encode_bar(one), "", one.revision) for one in bars]
    store.add(rows, [], {})


def page(
    store: Store, limit: int = 100, since: int = 0, until: int = 1 << 60, frame: str = "10m", **more: object
) -> FoldedPage:
    frames = Frames(Settings.load(_env_file=None))
    queries = Queries(store._path)
    chosen = frames.choose(frame)
    wanted = Wanted(chosen.name, lambda time: frames.span(chosen, time), since, until, limit, **more)  # type: ignore[arg-type]  # by the tests
    try:
        return folded_page(queries, queries.symbol("fx", "A"), ("fx", "A"), wanted)
    finally:
        queries.close()


def starts(bars: list[FoldedBar]) -> list[int]:
    return [(one.bucket_start - START) // MINUTE for one in bars]


def test_pages_lead_to_the_oldest_window_without_a_gap_or_a_double_in_every_size(store: Store) -> None:
    for partition in (0, 1):
        put(store, *(bar(START + number * MINUTE) for number in range(0, 95, 1 + partition)), partition=partition)
    whole = page(store)
    all_bars = sorted([*whole.bars, *whole.open], key=lambda one: (one.bucket_start, one.partition))
    assert len(all_bars) == 20
    for limit in (1, 2, 3, 7, 19, 20, 21):
        found: list[FoldedBar] = []
        until, before = 1 << 60, 0
        for _ in range(30):
            one = page(store, limit, until=until, before=before)
            assert len(one.bars) + len(one.open) <= limit
            found = sorted([*one.bars, *one.open], key=lambda bar: (bar.bucket_start, bar.partition)) + found
            if one.next is None:
                break
            until, before = one.next
        assert found == all_bars


def test_a_request_folds_no_more_than_it_may_and_goes_on_at_a_whole_window(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, *(bar(START + number * MINUTE) for number in range(60)))
    whole = page(store)
    monkeypatch.setattr(folding, "MAX_FOLDED", 25)
    first = page(store)
    assert starts([*first.bars, *first.open]) == [40, 50]
    assert first.next == (START + 40 * MINUTE, 0)
    second = page(store, until=first.next[0])
    assert starts(second.bars) == [20, 30]
    assert [*second.bars, *first.bars, *first.open] == [*whole.bars, *whole.open][2:]


def test_a_partition_that_was_not_read_to_its_end_holds_back_the_older_windows_of_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, *(bar(START + number * MINUTE) for number in range(60)))
    put(store, *(bar(START + number * MINUTE) for number in range(0, 60, 7)), partition=1)
    whole = page(store)
    monkeypatch.setattr(folding, "MAX_FOLDED", 25)
    first = page(store)
    assert [*first.bars, *first.open] == [*whole.bars, *whole.open][-4:], "the last twenty minutes of both"


def test_from_and_to_bound_the_starts_of_whole_windows(store: Store) -> None:
    put(store, *(bar(START + number * MINUTE) for number in range(60)))
    found = page(store, since=START + 11 * MINUTE, until=START + 31 * MINUTE)
    assert starts(found.bars) == [20, 30]
    assert [one.folded for one in found.bars] == [10, 10]


def test_a_window_has_closed_once_a_watermark_is_past_its_end(store: Store) -> None:
    put(store, bar(START), bar(START + MINUTE))
    assert (starts(page(store).bars), starts(page(store).open)) == ([], [0])
    known = {0: Known(START + 10 * MINUTE - 1)}
    assert page(store, known=known).bars == []
    assert starts(page(store, known={0: Known(START + 10 * MINUTE)}).bars) == [0]
    put(store, bar(START + 12 * MINUTE))
    found = page(store)
    assert (starts(found.bars), starts(found.open)) == ([0], [10])
    assert found.bars[0].watermark == START + 13 * MINUTE


def test_a_revision_of_the_newest_bar_opens_no_window_again(store: Store) -> None:
    newest = START + 12 * MINUTE
    put(store, bar(START), bar(newest))
    assert (starts(page(store).bars), starts(page(store).open)) == ([0], [10])
    put(store, bar(newest, revision=1))
    assert (starts(page(store).bars), starts(page(store).open)) == ([0], [10])
    assert {one.watermark for one in page(store).bars} == {newest + MINUTE}


def test_a_revision_that_was_read_before_the_final_of_the_same_time_closes_nothing(store: Store) -> None:
    put(store, bar(START), bar(START + 12 * MINUTE, revision=1))
    assert starts(page(store).open) == [0, 10]


def test_the_newest_versions_are_folded_and_counted(store: Store) -> None:
    put(store, bar(START), bar(START + MINUTE), bar(START, 1, 4), bar(START, 2, 5, price="1.9"), bar(START + 12 * MINUTE))
    (found,) = page(store).bars
    assert (found.ticks, found.revision, found.folded, str(found.open), str(found.high)) == (8, 2, 2, "1.9", "1.9")


def test_a_bar_that_lacks_ticks_makes_the_longer_one_partial_and_so_does_a_cut_between_bars(store: Store) -> None:
    cut = bar(START)
    cut.partial = True
    put(store, cut, bar(START + 12 * MINUTE), bar(START + 22 * MINUTE), bar(START + 32 * MINUTE))
    found = page(store, known={0: Known(None, START + 15 * MINUTE)})
    assert [one.partial for one in found.bars] == [True, True, False]


def test_a_vwap_has_the_decimals_of_the_bars(store: Store) -> None:
    traded = [bar(START), bar(START + MINUTE)]
    traded[0].volume, traded[0].vwap = Decimal(1), Decimal("1.1")
    traded[1].volume, traded[1].vwap = Decimal(2), Decimal("1.2")
    put(store, *traded)
    assert [str(page(store, scale=number).open[0].vwap) for number in (None, 3)] == ["1.16666667", "1.167"]
    formats = (("json", 3), ("avro", 3), ("protobuf", 18))
    url = "http://127.0.0.1:1"
    settings = [
        Settings.load(bars_format=name, bars_scale=scale, schema_registry_url=url, _env_file=None) for name, scale in formats
    ]
    assert [one.bar_scale for one in settings] == [None, 3, 18]


def test_a_bar_without_ticks_counts_only_where_there_is_no_other() -> None:
    flat = bar(START, ticks=0, price="9")
    traded = bar(START + MINUTE)
    assert str(fold([flat, traded], START, START + 10 * MINUTE).open) == "1.5"
    alone: Folded = fold([flat], START, START + 10 * MINUTE)
    assert (str(alone.close), alone.ticks) == ("9", 0)


# ---- frames


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("90s", "no multiple of the window size 1m"),
        ("30s", "no multiple of the window size 1m"),
        ("7x", "not a frame"),
        ("13h", "longer than 12h"),
        ("", "not a frame"),
    ],
)
def test_a_frame_that_cannot_be_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidParametersError, match=said):
        Frames(Settings.load(_env_file=None)).choose(text)


def test_a_frame_is_the_kept_one_of_the_same_length_and_is_folded_from_the_longest_that_fits() -> None:
    frames = Frames(Settings.load(_env_file=None, frames="5m,1h,1d"))
    assert (frames.choose("60m").name, frames.choose("1m").name, frames.choose("60s").name) == ("1h", "", "")
    sources = {text: frames.choose(text).source for text in ("2m", "15m", "4h", "1w", "1M")}
    assert sources == {"2m": "", "15m": "5m", "4h": "1h", "1w": "1d", "1M": "1d"}
    assert [one.text for one in frames.offered()] == ["1m", "5m", "15m", "1h", "4h", "1d", "1w", "1M"]


def test_what_would_take_too_many_bars_is_refused_with_the_remedy() -> None:
    short = Settings.load(_env_file=None, window_size="1s", grace="1s")
    with pytest.raises(InvalidParametersError, match=r"90,000.*add it to frames"):
        Frames(short).choose("1d")
    assert Frames(Settings.load(_env_file=None, window_size="1s", grace="1s", frames="1m")).choose("1M").source == "1m"


def test_where_days_begin_inside_a_window_no_frame_is_folded_and_the_page_offers_none() -> None:
    frames = Frames(Settings.load(_env_file=None, window_size="1h", grace="1s", day_start="00:30"))
    with pytest.raises(InvalidParametersError, match="the day begins inside one"):
        frames.choose("4h")
    assert [one.text for one in frames.offered()] == ["1h"]


def test_a_time_beyond_the_calendar_is_refused() -> None:
    frames = Frames(Settings.load(_env_file=None))
    with pytest.raises(InvalidParametersError, match="beyond the calendar"):
        frames.span(frames.choose("1M"), 253_402_300_799_999)
