"""The reference of bars, and what is right, wrong, missing and doubled beside it.

It is written apart from the worker: all ticks are sorted by key, window, time and order, and each bar is read off the columns.

A window counts if the ticks themselves close it: if the stream time of every partition has reached its end + grace when the
topic ends. Then it is due by the rule of every subject, whether that keeps a stream time for a partition, a task or the whole
topic. What a subject publishes of later windows is not judged. Of the windows that count,

- a right one has bars, and all of them are those of the reference: open, high, low, close and the number of ticks;
- a wrong one has a bar that differs; a bar of a window without ticks is one more wrong one;
- a missing one has none;
- doubled bars are those beyond the first of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.peers.columns import Bars, Integers, Prices, Ticks
from benchmarks.synthetic_ticks import GRACE_MS, WINDOW_MS

_MINUTES = 1 << 32  # more than there are minutes: a key and a minute make one number


@dataclass(frozen=True)
class Verdict:
    """How the bars of a subject compare with the reference. `due`: the windows that count."""

    due: int
    right: int
    wrong: int
    missing: int
    doubled: int

    @property
    def flawless(self) -> bool:
        """Whether each window has its right bar once."""
        return self.due == self.right and not self.wrong and not self.doubled


@dataclass(frozen=True)
class Reference:
    """The true bars of a topic, sorted by window."""

    window: Integers  # one number for key and minute
    prices: Prices  # a row for each: open, high, low, close
    ticks: Integers
    due: np.ndarray[tuple[int], np.dtype[np.bool_]]

    @classmethod
    def of(cls, ticks: Ticks) -> Reference:
        """The bars of these ticks."""
        window = _window(ticks.key, ticks.ts)
        # a stable sort: ticks of the same time stay in their order
        order = np.lexsort((ticks.ts, window))
        window, bid = window[order], ticks.bid[order]
        first = np.flatnonzero(np.diff(window, prepend=-1))
        count = np.diff(first, append=len(window))
        high, low = np.maximum.reduceat(bid, first), np.minimum.reduceat(bid, first)
        prices = np.stack((bid[first], high, low, bid[first + count - 1]), axis=1)
        ends = (window[first] % _MINUTES + 1) * WINDOW_MS
        return cls(window[first], prices, count, ends + GRACE_MS <= _stream_time(ticks))

    @property
    def due_bars(self) -> int:
        """How many windows count."""
        return int(self.due.sum())

    def judge(self, bars: Bars) -> Verdict:
        """Compare bars with these."""
        window = _window(bars.key, bars.start)
        place = np.minimum(np.searchsorted(self.window, window), len(self.window) - 1)
        known = self.window[place] == window
        counts = known & self.due[place]
        same = (bars.ticks == self.ticks[place]) & (bars.prices == self.prices[place]).all(axis=1)
        seen, differs = np.zeros(len(self.window), bool), np.zeros(len(self.window), bool)
        seen[place[counts]] = True
        differs[place[counts & ~same]] = True
        found, wrong, unknown = int(seen.sum()), int(differs.sum()), int((~known).sum())
        return Verdict(self.due_bars, found - wrong, wrong + unknown, self.due_bars - found, int(counts.sum()) - found)


def _window(key: Integers, ts: Integers) -> Integers:
    return key * _MINUTES + ts // WINDOW_MS


def _stream_time(ticks: Ticks) -> int:
    """The least stream time of a partition at the end of the topic."""
    return min(int(ticks.ts[ticks.partition == number].max()) for number in np.unique(ticks.partition))
