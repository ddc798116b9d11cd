"""Ticks and bars as columns: a run has millions of both."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic_ticks import Produced

Integers = NDArray[np.int64]
Prices = NDArray[np.float64]  # a price of up to 15 digits has one float, so that equal floats are equal prices


class Tick(msgspec.Struct, gc=False):
    """The fields of a tick that a bar is made of."""

    ts: int
    bid: float


class PeerBar(msgspec.Struct, gc=False):
    """A bar as the programs of the peers write it."""

    key: str
    start: int
    open: float
    high: float
    low: float
    close: float
    ticks: int


class OurBar(msgspec.Struct, gc=False):
    """What is compared of a bar of barwheel."""

    broker: str
    symbol: str
    bucket_start: int
    open: float
    high: float
    low: float
    close: float
    ticks: int

    @property
    def key(self) -> str:
        """The key of its ticks."""
        return f"{self.broker}|{self.symbol}"

    @property
    def start(self) -> int:
        """When its window begins."""
        return self.bucket_start


class Keys:
    """A number for each key, in the order of their first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, key: str) -> int:
        """The number of a key; a new one for a new key."""
        return self._numbers.setdefault(key, len(self._numbers))


class Ticks:
    """The ticks of a topic in the order in which they were sent."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._key, self._partition, self._ts, self._bid = array("q"), array("q"), array("q"), array("d")
        self._decode = msgspec.json.Decoder(Tick).decode

    def noting(self, records: Iterable[Produced]) -> Iterator[Produced]:
        """Pass records on, and note each."""
        for record in records:
            partition, key, value = record
            tick = self._decode(value)
            self._key.append(self._keys.number(key.decode()))
            self._partition.append(partition)
            self._ts.append(tick.ts)
            self._bid.append(tick.bid)
            yield record

    def __len__(self) -> int:
        return len(self._ts)

    @property
    def key(self) -> Integers:
        """The numbers of their keys."""
        return np.frombuffer(self._key, np.int64)

    @property
    def partition(self) -> Integers:
        """Their partitions."""
        return np.frombuffer(self._partition, np.int64)

    @property
    def ts(self) -> Integers:
        """Their event times."""
        return np.frombuffer(self._ts, np.int64)

    @property
    def bid(self) -> Prices:
        """Their prices."""
        return np.frombuffer(self._bid, np.float64)


class Bars:
    """The bars of an output topic, in the order in which they were read."""

    def __init__(self, keys: Keys, *, ours: bool) -> None:
        self._keys = keys
        self._decode: Any = msgspec.json.Decoder(OurBar if ours else PeerBar).decode
        self._key, self._start, self._ticks = array("q"), array("q"), array("q")
        self._prices = array("d")

    def add(self, values: Iterable[bytes]) -> None:
        """Decode the values of further records."""
        for value in values:
            bar = self._decode(value)
            self._key.append(self._keys.number(bar.key))
            self._start.append(bar.start)
            self._ticks.append(bar.ticks)
            self._prices.extend((bar.open, bar.high, bar.low, bar.close))

    def __len__(self) -> int:
        return len(self._key)

    @property
    def key(self) -> Integers:
        """The numbers of their keys."""
        return np.frombuffer(self._key, np.int64)

    @property
    def start(self) -> Integers:
        """When their windows begin."""
        return np.frombuffer(self._start, np.int64)

    @property
    def ticks(self) -> Integers:
        """How many ticks each has."""
        return np.frombuffer(self._ticks, np.int64)

    @property
    def prices(self) -> Prices:
        """A row for each: open, high, low, close."""
        return np.frombuffer(self._prices, np.float64).reshape(-1, 4)
