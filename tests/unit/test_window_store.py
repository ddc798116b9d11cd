"""What is compared in parts from a database is what is compared at once in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.finals import PlacedBar
from app.ksqldb.reconciliation import Cause, KsqlBar, Reading, Window, reconcile
from app.operations import window_store
from app.operations.window_store import WindowStore
from tables.bars import Bar
from tests.support.bars import bar

MINUTE = 60_000
encode = msgspec.json.Encoder(decimal_format="number").encode
WINDOWS = st.tuples(st.sampled_from("ab"), st.sampled_from(("x", "y")), st.integers(0, 6).map(lambda n: n * MINUTE))
CLOSES = st.sampled_from(("1.1", "1.2"))


def ksql_bar(close: str) -> KsqlBar:
    made = bar(close=close)
    return KsqlBar(made.open, made.high, made.low, made.close, made.ticks, made.volume, made.vwap)


def shown(found: object) -> list[str]:
    return [repr(one) for one in found]  # type: ignore[attr-defined]  # an iterator of differences


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    ours=st.lists(st.tuples(WINDOWS, st.integers(0, 1), CLOSES)),
    theirs=st.lists(st.tuples(WINDOWS, CLOSES | st.none())),
    late=st.lists(WINDOWS),
    read=st.lists(st.tuples(WINDOWS, st.sampled_from(("kept", "late", "unfit")))),
    at_once=st.integers(1, 4),
)
def test_the_differences_are_those_of_a_comparison_in_memory(
    monkeypatch: pytest.MonkeyPatch,
    ours: list[tuple[Window, int, str]],
    theirs: list[tuple[Window, str | None]],
    late: list[Window],
    read: list[tuple[Window, str]],
    at_once: int,
) -> None:
    monkeypatch.setattr(window_store, "AT_ONCE", at_once)
    our_bars: dict[Window, dict[int, Bar]] = {}
    their_bars: dict[Window, KsqlBar] = {}
    readings: dict[Window, Reading] = {}
    with WindowStore() as store:
        for (broker, symbol, start), partition, close in ours:
            made = bar(broker, symbol, start, close)
            store.add_ours(PlacedBar(partition, made))
            our_bars.setdefault((broker, symbol, start), {})[partition] = made
        for window, there in theirs:
            store.add_theirs(window, None if there is None else encode(ksql_bar(there)))
            their_bars.pop(window, None)
            if there is not None:
                their_bars[window] = ksql_bar(there)
        for window in late:
            store.add_late(window)
        for window, kind in read:
            for reading in (store.reading(window, 0), readings.setdefault(window, Reading(0))):
                setattr(reading, kind, getattr(reading, kind) + 1)
        newest: dict[tuple[str, str], int] = {}
        for broker, symbol, start in their_bars:
            newest[broker, symbol] = max(start, newest.get((broker, symbol), start))
        closed = {window: replace(reading, closed=window[2] < 3 * MINUTE) for window, reading in readings.items()}
        sorted_bars = {window: [held for _, held in sorted(bars.items())] for window, bars in our_bars.items()}
        last = {window: bars[-1] for window, bars in sorted_bars.items()}
        doubled = {window: bars for window, bars in sorted_bars.items() if len(bars) > 1}
        wanted = shown(reconcile(last, their_bars, Counter(late), newest, 8, doubled, closed))
        assert shown(store.differences(8, {0: 3 * MINUTE})) == wanted
        assert shown(store.differences(8, {0: 3 * MINUTE})) == wanted, "it can be asked for again"
        assert store.common() == len(last.keys() & their_bars.keys())


def test_ticks_that_revised_a_bar_were_late() -> None:
    with WindowStore() as store:
        store.add_ours(PlacedBar(0, bar()))
        for revision, ticks in ((2, 5), (1, 4)):  # the topic may hold an older one later, from another attempt to read it
            store.add_revised(msgspec.structs.replace(bar(revision=revision), ticks=ticks))
        store.add_revised(msgspec.structs.replace(bar(start=MINUTE, revision=1), ticks=1))  # no tick came in time
        their = msgspec.structs.replace(ksql_bar("1.50"), N=5)
        for start in (0, MINUTE):
            store.add_theirs(("fx", "EURUSD", start), encode(their))
        assert [(found.window[2], found.cause) for found in store.differences(8, {})] == [(0, Cause.late), (MINUTE, Cause.late)]
