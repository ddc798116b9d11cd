"""Reconciliation of the application's bars with ksqlDB's: equal bars, and the cause of each difference."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from app.ksqldb.reconciliation import EXPLAINED, Cause, KsqlBar, Reading, reconcile
from tables.bars import Bar

WINDOW = ("A", "x", 60_000)


def bar(prices: str = "1.1 1.4 1.0 1.2", ticks: int = 3, volume: str | None = "6", vwap: str | None = "1.23333333") -> Bar:
    o, h, low, c = map(Decimal, prices.split())
    quantities = [None if text is None else Decimal(text) for text in (volume, vwap)]
    return Bar("A", "x", 60_000, 120_000, o, h, low, c, quantities[0], quantities[1], ticks, 0, 0, "idle", 0, 0, 0, 0, 0)


def theirs(
    prices: str = "1.1 1.4 1.0 1.2", ticks: int = 3, volume: str | None = "6", vwap: str | None = "1.23333333"
) -> KsqlBar:
    made = bar(prices, ticks, volume, vwap)
    return KsqlBar(made.open, made.high, made.low, made.close, made.ticks, made.volume, made.vwap)


def cause(
    mine: Bar | None, found: KsqlBar | None, late: int = 0, newest: int = -1, reading: Reading | None = None
) -> Cause | None:
    """The cause of the window's difference; None if the bars are equal."""
    ours = {} if mine is None else {WINDOW: mine}
    other = {} if found is None else {WINDOW: found}
    readings = {} if reading is None else {WINDOW: reading}
    causes = [one.cause for one in reconcile(ours, other, Counter({WINDOW: late}), {("A", "x"): newest}, readings=readings)]
    return causes[0] if causes else None


@pytest.mark.parametrize(
    ("mine", "found"),
    [
        (bar(), theirs()),
        (bar("1.10 1.4 1 1.2"), theirs()),
        (bar(vwap="1.23333333"), theirs(vwap="1.23333334")),  # ksqlDB divides as DOUBLE
        (bar(vwap="123456789.12345678"), theirs(vwap="123456789.12345670")),  # more digits than a DOUBLE holds
        (bar(volume=None, vwap=None), theirs(volume="0", vwap=None)),  # no quantities: ksqlDB's SUM is 0
    ],
)
def test_bars_with_equal_numbers_do_not_differ(mine: Bar, found: KsqlBar) -> None:
    assert cause(mine, found) is None


@pytest.mark.parametrize(
    ("mine", "found", "late", "newest", "expected"),
    [
        (bar(), None, 0, -1, Cause.waiting),
        (bar(), None, 0, 60_000, Cause.waiting),
        (bar(), None, 0, 120_000, Cause.lost),
        (None, theirs(), 0, 60_000, Cause.ours_open),
        (None, theirs(), 2, 60_000, Cause.late),
        (bar(), theirs(ticks=4, volume="7"), 1, 60_000, Cause.late),
        (bar(), theirs(ticks=4, volume="7"), 0, 60_000, Cause.other),
        (bar(), theirs(ticks=2, volume="5"), 0, 60_000, Cause.fewer),
        (bar(), theirs("1.2 1.4 1.0 1.1"), 0, 60_000, Cause.order),
        (bar(), theirs("1.1 1.5 1.0 1.2"), 0, 60_000, Cause.other),
        (bar("1.1 1.4 1.0 1.123456789"), theirs("1.1 1.4 1.0 1.1", ticks=2), 0, 60_000, Cause.digits),
        (bar(volume="6.123456789"), theirs(ticks=2), 0, 60_000, Cause.digits),
        (bar(), theirs(volume="7"), 0, 60_000, Cause.quantities),
        (bar(), theirs(vwap="1.24"), 0, 60_000, Cause.quantities),
        (bar(), theirs(vwap=None), 0, 60_000, Cause.quantities),
    ],
)
def test_each_difference_has_its_cause(
    mine: Bar | None, found: KsqlBar | None, late: int, newest: int, expected: Cause
) -> None:
    assert cause(mine, found, late, newest) is expected


@pytest.mark.parametrize("newest", [-1, 120_000])  # whether a later window of the symbol was emitted says nothing
@pytest.mark.parametrize(
    ("found", "reading", "expected"),
    [
        (None, Reading(0, late=3, closed=True), Cause.late_there),
        (None, Reading(0, late=1, unfit=2, closed=True), Cause.late_there),
        (None, Reading(0, unfit=3, closed=True), Cause.unfit),
        (None, Reading(0, kept=3, closed=False), Cause.waiting),
        (None, Reading(0, kept=1, late=2, closed=True), Cause.lost),
        (theirs(ticks=2, volume="5"), Reading(0, kept=2, late=1, closed=True), Cause.late_there),
        (theirs(ticks=2, volume="5"), Reading(0, kept=2, unfit=1, closed=True), Cause.unfit),
        (theirs(ticks=2, volume="5"), Reading(0, kept=3, closed=True), Cause.fewer),
    ],
)
def test_what_became_of_the_ticks_in_ksqldb_tells_the_cause(
    found: KsqlBar | None, reading: Reading, expected: Cause, newest: int
) -> None:
    assert cause(bar(), found, 0, newest, reading) is expected


def test_every_cause_is_explained() -> None:
    assert set(EXPLAINED) == set(Cause)
