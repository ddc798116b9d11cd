"""Bars with a key that two partitions published: one symbol lives in both, and neither bar has all its ticks."""

from __future__ import annotations

from typing import NamedTuple

REMEDY = (
    "let all producers of the input place a symbol alike: librdkafka's need partitioner=murmur2_random, or set repartition=on; "
    "docs/delivery.md, One symbol in two partitions, says how to go on"
)


class Doubled(NamedTuple):
    """How many bars there are whose key another partition had published before, and the newest of their windows.

    `start` is in epoch ms.
    """

    bars: int
    broker: str
    symbol: str
    start: int
    partitions: tuple[int, ...]

    @property
    def text(self) -> str:
        """What is wrong, in words."""
        return (
            f"two partitions published bars of the same windows, {self.bars} so far, and each lacks the ticks of the other; "
            f"the newest are of {self.broker} {self.symbol}, start {self.start}, in partitions {and_list(self.partitions)}"
        )


def and_list(partitions: tuple[int, ...]) -> str:
    """`0 and 3`, or `0, 1 and 3`."""
    *first, last = map(str, partitions)
    return f"{', '.join(first)} and {last}" if first else last
