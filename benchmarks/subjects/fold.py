"""The least that any program must do for a bar: decode a tick exactly and fold it into a dictionary."""

from __future__ import annotations

import os
from decimal import Decimal

import msgspec

WINDOW_MS = 60_000


class Tick(msgspec.Struct, gc=False):
    """The fields that a bar of bids needs; the decoder skips the others."""

    ts: int
    bid: Decimal
    ask: Decimal
    seq: int


decode = msgspec.json.Decoder(Tick).decode


class Folding:
    """Open bars by key, replaced when a newer minute begins. No lateness; nothing is stored or sent."""

    def __init__(self) -> None:
        self.bars: dict[bytes, list[Decimal | int]] = {}
        self.closed = 0

    def fold(self, key: bytes, value: bytes) -> None:
        """Fold one tick."""
        tick = decode(value)
        ts, bid = tick.ts, tick.bid
        start = ts - ts % WINDOW_MS
        bar = self.bars.get(key)
        if bar is None or start > bar[0]:
            if bar is not None:
                self.closed += 1
            self.bars[key] = [start, bid, bid, bid, bid, 1]
        elif start == bar[0]:
            if bid > bar[2]:  # noqa: PLR1730 - twice as fast as max()
                bar[2] = bid
            if bid < bar[3]:  # noqa: PLR1730 - likewise
                bar[3] = bid
            bar[4] = bid
            bar[5] += 1


class Marks:
    """Prints the progress of a program, about fifty times in all."""

    def __init__(self, total: int) -> None:
        self.done = 0
        self._step = max(1, total // 50)
        self._next = self._step

    def add(self, ticks: int) -> None:
        """Count further processed ticks."""
        self.done += ticks
        if self.done >= self._next:
            # written to the file, because Faust's worker replaces sys.stdout with a logger
            os.write(1, b"MARK %d\n" % self.done)
            self._next = self.done + self._step
