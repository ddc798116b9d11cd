"""Compares the application's bars with those that ksqlDB computes from the same ticks, and explains differences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import msgspec

from tables.bars import Bar

Window = tuple[str, str, int]  # broker, symbol, start in epoch ms
SCALE = 8  # decimals of ksqlDB's columns
# open, high, low, close, ticks, volume, vwap
Numbers = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None, int, Decimal | None, Decimal | None]
DOUBLE = Decimal("1e-15")  # relative error of the server's division as DOUBLE


class Cause(StrEnum):
    """Why a window differs."""

    waiting = "waiting"  # EMIT FINAL emits it when a later tick of its partition arrives
    late_there = "late there"  # ticks that are late by the stream time of their partition
    unfit = "unfit there"  # ticks that ksqlDB cannot read: a text as time, too many digits
    lost = "lost"  # EMIT FINAL skipped it
    ours_open = "open here"  # ksqlDB has it, and the application has not closed it yet
    late = "late ticks"  # ticks that only one of the two counts
    fewer = "fewer there"  # ticks that it left out, for a reason that the ticks topic does not tell
    order = "order"  # open and close go by offset in ksqlDB, by event time in the application
    digits = "digits"  # more decimals than ksqlDB's columns have
    two = "two partitions"  # one symbol lives in both, so each of two bars lacks ticks of the other
    quantities = "quantities"  # only volume or vwap differ
    other = "other"


@dataclass
class Reading:
    """What became of the ticks of one window in ksqlDB. `closed`: its partition's stream time is past its end and grace."""

    partition: int
    kept: int = 0
    late: int = 0
    unfit: int = 0
    closed: bool = False


class KsqlBar(msgspec.Struct):
    """The value of a record in ksqlDB's finals topic."""

    O: Decimal | None = None  # noqa: E741  # ksqlDB writes column names in upper case
    H: Decimal | None = None
    L: Decimal | None = None
    C: Decimal | None = None
    N: int = 0
    VOLUME: Decimal | None = None
    VWAP: Decimal | None = None


@dataclass(frozen=True)
class Difference:
    """A window that differs. `ours` is the application's bar and `theirs` ksqlDB's; None if one has no bar."""

    window: Window
    cause: Cause
    ours: Numbers | None
    theirs: Numbers | None


EXPLAINED = {
    Cause.waiting: "EMIT FINAL emits a window when a tick arrives that is later than its end and grace, in its partition",
    Cause.late_there: (
        "ticks are late by the stream time of their partition, which any symbol in it advances, "
        "and one tick from the future for good"
    ),
    Cause.unfit: "ksqlDB drops ticks that it cannot read: a text as time, or more digits than its columns have (`app doctor`)",
    Cause.lost: "ksqlDB kept ticks of it and has emitted no bar: its store no longer had the window when its time had come",
    Cause.ours_open: "the application has not closed it, or all its ticks were late or rejected there",
    Cause.late: "late ticks: ksqlDB measures the grace by the stream time of a partition, the application by that of a scope",
    Cause.order: "its first or last tick by offset is not the one by event time",
    Cause.fewer: "ksqlDB left ticks out, and the ticks topic does not tell why: they are no longer there, or it kept them",
    Cause.digits: "it has more decimals than ksqlDB's columns, which a tick must fit (ksqldb_scale)",
    Cause.two: "two partitions have the symbol, and each makes a bar of this window: producers place it differently",
    Cause.quantities: "prices and ticks are equal, but volume or vwap differ: look at the quantities of its ticks",
    Cause.other: "no known reason: look at its ticks",
}


def reconcile(
    ours: Mapping[Window, Bar],
    theirs: Mapping[Window, KsqlBar],
    late: Counter[Window],
    newest: Mapping[tuple[str, str], int],
    scale: int = SCALE,
    doubled: Mapping[Window, Sequence[Bar]] = MappingProxyType({}),
    readings: Mapping[Window, Reading] = MappingProxyType({}),
) -> Iterator[Difference]:
    """The differences in the order of their windows.

    `late` is the number of ticks that the application found late, by window. `newest` is the start of the newest window that
    ksqlDB has emitted, by broker and symbol. `scale` is the number of decimals of ksqlDB's columns. `doubled` has the
    application's bars of those windows of which it published more than one: none of them can be compared. `readings` is what
    became of the ticks in ksqlDB; a window is absent if its ticks are no longer in their topic.
    """
    for window in sorted(ours.keys() | theirs.keys(), key=lambda one: (one[2], one[0], one[1])):
        bar, other = ours.get(window), theirs.get(window)
        our_numbers = None if bar is None else _numbers(bar)
        their_numbers: Numbers | None = None
        if other is not None:
            their_numbers = (other.O, other.H, other.L, other.C, other.N, other.VOLUME, other.VWAP)
        if window in doubled:
            for one in doubled[window]:
                yield Difference(window, Cause.two, _numbers(one), their_numbers)
        elif our_numbers is None or their_numbers is None:
            skipped = newest.get(window[:2], -1) > window[2]
            cause = _cause_of_absence(our_numbers, late[window], readings.get(window), skipped=skipped)
            yield Difference(window, cause, our_numbers, their_numbers)
        elif not _same(our_numbers, their_numbers, scale):
            cause = _cause(our_numbers, their_numbers, late[window], scale, readings.get(window))
            yield Difference(window, cause, our_numbers, their_numbers)


def _numbers(bar: Bar) -> Numbers:
    return bar.open, bar.high, bar.low, bar.close, bar.ticks, bar.volume, bar.vwap


def _same(ours: Numbers, theirs: Numbers, scale: int) -> bool:
    """Whether two bars are equal, to the last digit.

    vwap may differ by the error of a DOUBLE division. Without quantities, volume is 0 in ksqlDB and null in the application.
    """
    volumes = (ours[5] or 0) == (theirs[5] or 0)
    one, other = ours[6], theirs[6]
    if one is None or other is None:
        return ours[:5] == theirs[:5] and volumes and one is other
    return ours[:5] == theirs[:5] and volumes and abs(one - other) <= max(Decimal(1).scaleb(-scale), abs(one) * DOUBLE)


def _cause_of_absence(ours: Numbers | None, late: int, reading: Reading | None, *, skipped: bool) -> Cause:
    if ours is None:
        return Cause.late if late else Cause.ours_open
    if reading is not None:
        if reading.kept:
            return Cause.lost if reading.closed else Cause.waiting
        return Cause.late_there if reading.late else Cause.unfit
    return Cause.lost if skipped else Cause.waiting


def _cause(ours: Numbers, theirs: Numbers, late: int, scale: int, reading: Reading | None) -> Cause:
    unit = Decimal(1).scaleb(-scale)
    if any(number is not None and number % unit for number in (*ours[:4], ours[5])):
        return Cause.digits
    if ours[4] != theirs[4]:
        if late:
            return Cause.late
        if reading is not None and theirs[4] < ours[4] and reading.late + reading.unfit:
            return Cause.late_there if reading.late else Cause.unfit
        return Cause.fewer if theirs[4] < ours[4] else Cause.other
    if ours[:4] == theirs[:4]:
        return Cause.quantities
    return Cause.order if ours[1:3] == theirs[1:3] else Cause.other
