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
SCALE = Decimal("1e-8")  # of ksqlDB's columns


class Cause(StrEnum):
    """Why a window differs."""

    waiting = "waiting"  # EMIT FINAL gives it when a later tick of its partition comes
    lost = "lost"  # EMIT FINAL passed it, or its ticks did not fit their columns
    ours_open = "open here"  # ksqlDB has it, the application has not closed it yet
    late = "late ticks"  # that only one of the two counts
    order = "order"  # open and close go by offset there, by event time here
    digits = "digits"  # more decimals than the columns there have
    other = "other"


class KsqlBar(msgspec.Struct):
    """The value of a record of ksqlDB's finals."""

    O: Decimal | None = None  # noqa: E741  # as ksqlDB writes its columns
    H: Decimal | None = None
    L: Decimal | None = None
    C: Decimal | None = None
    N: int = 0


@dataclass(frozen=True)
class Difference:
    """One window that is not the same; prices as (open, high, low, close, ticks), None where one of the two has none."""

    window: Window
    cause: Cause
    ours: tuple[Decimal, Decimal, Decimal, Decimal, int] | None
    theirs: tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None, int] | None

    @property
    def text(self) -> str:
        """What it means, in a sentence."""
        return EXPLAINED[self.cause]


EXPLAINED = {
    Cause.waiting: "EMIT FINAL gives a window when a later tick of its partition comes, and none has come",
    Cause.lost: "ksqlDB passed it: its store had let go of it, or its ticks did not fit their columns and vanished",
    Cause.ours_open: "the application has not closed it, or its ticks were all late or rejected here",
    Cause.late: "ticks that came late: the grace is by stream time of a partition there, of a scope here",
    Cause.order: "its first or last tick by offset is not the one by event time",
    Cause.digits: "prices with more than 8 decimals do not fit the columns there",
    Cause.other: "no known reason: look at its ticks",
}


def reconcile(
    ours: Mapping[Window, Bar], theirs: Mapping[Window, KsqlBar], late: Counter[Window], newest: Mapping[tuple[str, str], int]
) -> Iterator[Difference]:
    """The differences, in order of window.

    `late`: how many ticks of a window the application found late; `newest`: by broker and symbol the start of the newest window
    that ksqlDB has given.
    """
    for window in sorted(ours.keys() | theirs.keys(), key=lambda one: (one[2], one[0], one[1])):
        bar, other = ours.get(window), theirs.get(window)
        mine = None if bar is None else (bar.open, bar.high, bar.low, bar.close, bar.ticks)
        found = None if other is None else (other.O, other.H, other.L, other.C, other.N)
        if mine != found:
            yield Difference(window, _cause(mine, found, late[window], newest.get(window[:2], -1) > window[2]), mine, found)


def _cause(
    mine: tuple[Decimal, Decimal, Decimal, Decimal, int] | None,
    found: tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None, int] | None,
    late: int,
    passed: bool,  # noqa: FBT001  # of this module alone
) -> Cause:
    if found is None:
        return Cause.lost if passed else Cause.waiting
    if mine is None:
        return Cause.late if late else Cause.ours_open
    if any(price != price.quantize(SCALE) for price in mine[:4]):
        return Cause.digits
    if mine[4] != found[4]:
        return Cause.late if late or found[4] < mine[4] else Cause.other
    return Cause.order if mine[1:3] == found[1:3] else Cause.other
