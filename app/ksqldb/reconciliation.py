"""The application's bars beside those that ksqlDB computed of the same ticks: what differs, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import msgspec

from tables.bars import Bar

Window = tuple[str, str, int]  # broker, symbol, start in epoch ms
SCALE = 8  # of ksqlDB's columns
Numbers = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None, int, Decimal | None, Decimal | None]
DOUBLE = Decimal("1e-15")  # of a number, what the server's way of dividing may be off by


class Cause(StrEnum):
    """Why a window differs."""

    waiting = "waiting"  # EMIT FINAL gives it when a later tick of its partition comes
    lost = "lost"  # EMIT FINAL passed it, or its ticks did not fit their columns
    ours_open = "open here"  # ksqlDB has it, the application has not closed it yet
    late = "late ticks"  # that only one of the two counts
    fewer = "fewer there"  # ticks that were late for ksqlDB alone, or did not fit
    order = "order"  # open and close go by offset there, by event time here
    digits = "digits"  # more decimals than the columns there have
    quantities = "quantities"  # volume or vwap alone
    other = "other"


class KsqlBar(msgspec.Struct):
    """The value of a record of ksqlDB's finals."""

    O: Decimal | None = None  # noqa: E741  # as ksqlDB writes its columns
    H: Decimal | None = None
    L: Decimal | None = None
    C: Decimal | None = None
    N: int = 0
    VOLUME: Decimal | None = None
    VWAP: Decimal | None = None


@dataclass(frozen=True)
class Difference:
    """One window that is not the same: open, high, low, close, ticks, volume and vwap, None where one of the two has no bar."""

    window: Window
    cause: Cause
    ours: Numbers | None
    theirs: Numbers | None

    @property
    def text(self) -> str:
        """What it means, in a sentence."""
        return EXPLAINED[self.cause]


EXPLAINED = {
    Cause.waiting: "EMIT FINAL gives a window when a later tick of its partition comes, and no later window of its symbol did",
    Cause.lost: "ksqlDB passed it: its store had let go of it, or its ticks did not fit their columns and vanished",
    Cause.ours_open: "the application has not closed it, or its ticks were all late or rejected here",
    Cause.late: "ticks that came late: the grace is by stream time of a partition there, of a scope here",
    Cause.order: "its first or last tick by offset is not the one by event time",
    Cause.fewer: "ksqlDB left ticks out: they were late by stream time of their partition, or did not fit their columns",
    Cause.digits: "it has more decimals than the columns there, which a tick must fit (ksqldb_scale)",
    Cause.quantities: "prices and ticks are the same, volume or vwap are not: look at the quantities of its ticks",
    Cause.other: "no known reason: look at its ticks",
}


def reconcile(
    ours: Mapping[Window, Bar],
    theirs: Mapping[Window, KsqlBar],
    late: Counter[Window],
    newest: Mapping[tuple[str, str], int],
    scale: int = SCALE,
) -> Iterator[Difference]:
    """The differences, in order of window.

    `late`: how many ticks of a window the application found late; `newest`: by broker and symbol the start of the newest window
    that ksqlDB has given; `scale`: decimals of its columns.
    """
    for window in sorted(ours.keys() | theirs.keys(), key=lambda one: (one[2], one[0], one[1])):
        bar, other = ours.get(window), theirs.get(window)
        mine: Numbers | None = None
        found: Numbers | None = None
        if bar is not None:
            mine = (bar.open, bar.high, bar.low, bar.close, bar.ticks, bar.volume, bar.vwap)
        if other is not None:
            found = (other.O, other.H, other.L, other.C, other.N, other.VOLUME, other.VWAP)
        if mine is None or found is None:
            passed = newest.get(window[:2], -1) > window[2]
            yield Difference(window, _missing(mine, late[window], passed=passed), mine, found)
        elif not _same(mine, found, scale):
            yield Difference(window, _cause(mine, found, late[window], scale), mine, found)


def _same(mine: Numbers, found: Numbers, scale: int) -> bool:
    """To the last digit, but for vwap, which ksqlDB divides as DOUBLE; a sum of no quantities is 0 there and nothing here."""
    volumes = (mine[5] or 0) == (found[5] or 0)
    one, other = mine[6], found[6]
    if one is None or other is None:
        return mine[:5] == found[:5] and volumes and one is other
    return mine[:5] == found[:5] and volumes and abs(one - other) <= max(Decimal(1).scaleb(-scale), abs(one) * DOUBLE)


def _missing(mine: Numbers | None, late: int, *, passed: bool) -> Cause:
    if mine is None:
        return Cause.late if late else Cause.ours_open
    return Cause.lost if passed else Cause.waiting


def _cause(mine: Numbers, found: Numbers, late: int, scale: int) -> Cause:
    unit = Decimal(1).scaleb(-scale)
    if any(number is not None and number % unit for number in (*mine[:4], mine[5])):
        return Cause.digits
    if mine[4] != found[4]:
        if late:
            return Cause.late
        return Cause.fewer if found[4] < mine[4] else Cause.other
    if mine[:4] == found[:4]:
        return Cause.quantities
    return Cause.order if mine[1:3] == found[1:3] else Cause.other
