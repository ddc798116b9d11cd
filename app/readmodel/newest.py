"""Which bars are not in the read model yet, as far as that is known without a look at its tables.

The worker publishes the windows of a broker in order of time, so nearly every bar of a partition begins with, or after, the
newest window of its broker there. It is in the tables only if it is one of the few things that are kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Series = tuple[str, int, int]  # broker, partition and number of the frame
MAX_SERIES = 10_000  # kept; then all are forgotten and asked for again
MAX_SYMBOLS = 100_000  # kept, of all series together


class Newest(NamedTuple):
    """The latest start of all bars of a series in epoch ms, and the ids of the symbols that have a bar of that start.

    `symbols`: None where there are too many to keep.
    """

    start: int
    symbols: set[int] | None


class NewestBars:
    """The newest window of each series.

    It is never too early: where rows are deleted or rolled back, or the tables are made anew, it only promises less.
    """

    def __init__(self, find: Callable[[Series], Newest]) -> None:
        """`find`: looks into the tables."""
        self._find = find
        self._of: dict[Series, Newest] = {}
        self._symbols = 0

    def add(self, series: Series, symbol_id: int, start: int) -> bool:
        """Note a bar that is written. Returns whether its window was certainly not there; False: it may have been."""
        newest = self._of.get(series) or self._found(series)
        if start > newest.start:
            newest = self._keep(series, Newest(start, set()))
        if start < newest.start or newest.symbols is None or symbol_id in newest.symbols:
            return False
        if self._symbols < MAX_SYMBOLS:
            newest.symbols.add(symbol_id)
            self._symbols += 1
        else:
            self._keep(series, Newest(start, None))
        return True

    def _found(self, series: Series) -> Newest:
        if len(self._of) >= MAX_SERIES:
            self._of.clear()
            self._symbols = 0
        newest = self._find(series)
        too_many = self._symbols + len(newest.symbols or ()) > MAX_SYMBOLS
        return self._keep(series, newest._replace(symbols=None) if too_many else newest)

    def _keep(self, series: Series, newest: Newest) -> Newest:
        former = self._of.get(series)
        if former is not None and former.symbols:
            self._symbols -= len(former.symbols)
        self._symbols += len(newest.symbols or ())
        self._of[series] = newest
        return newest
