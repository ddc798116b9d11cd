"""Bars of one minute with csp: its Kafka adapter, one node that folds and closes by the stream time of a partition.

Arguments: bootstrap servers, topic of ticks, topic of bars, group.
"""

import math
import sys
from datetime import UTC, datetime, timedelta

import csp
from csp import ts
from csp.adapters.kafka import KafkaAdapterManager
from csp.adapters.utils import JSONTextMessageMapper

from benchmarks.peers.progress import Progress

WINDOW_MS, GRACE_MS = 60_000, 5_000
DIGITS = 5  # of the prices: the adapter's parser of JSON may be off in the last bits of a float


class Tick(csp.Struct):
    """A tick; the partition says which stream time it moves."""

    key: str
    partition: int
    ts: int
    bid: float
    seq: int


class Bar(csp.Struct):
    """A closed bar, as it is published."""

    key: str
    start: int
    open: float
    high: float
    low: float
    close: float
    ticks: int


class Open:
    """The bar of one key while its window is open."""

    __slots__ = ("close", "first_seq", "first_ts", "high", "last_seq", "last_ts", "low", "open", "ticks")

    def __init__(self, tick: Tick) -> None:
        self.open = self.high = self.low = self.close = tick.bid
        self.first_ts = self.last_ts = tick.ts
        self.first_seq = self.last_seq = tick.seq
        self.ticks = 1

    def closed(self, key: str, start: int) -> Bar:
        """The bar to publish."""
        prices = [round(price, DIGITS) for price in (self.open, self.high, self.low, self.close)]
        return Bar(key=key, start=start, open=prices[0], high=prices[1], low=prices[2], close=prices[3], ticks=self.ticks)


class Partition:
    """The open windows of one partition, by the start of the window and the key."""

    def __init__(self) -> None:
        self.windows: dict[int, dict[str, Open]] = {}
        self.due = math.inf  # the stream time at which the next window closes

    def begin(self, start: int) -> dict[str, Open]:
        """Open a window."""
        window = self.windows[start] = {}
        self.due = min(self.windows) + WINDOW_MS + GRACE_MS
        return window

    def close(self, stream_time: int) -> list[Bar]:
        """Close the windows whose end + grace has been reached."""
        starts = sorted(start for start in self.windows if start + WINDOW_MS + GRACE_MS <= stream_time)
        closed = [bar.closed(key, start) for start in starts for key, bar in self.windows.pop(start).items()]
        self.due = min(self.windows, default=math.inf) + WINDOW_MS + GRACE_MS
        return closed


def fold_all(ticks: list[Tick], partitions: dict[int, Partition]) -> list[Bar]:
    """Fold ticks; returns the bars that they close. One loop without calls: it is most of what this program takes."""
    closed: list[Bar] = []
    for tick in ticks:
        ts, bid = tick.ts, tick.bid
        partition = partitions.get(tick.partition)
        if partition is None:
            partition = partitions[tick.partition] = Partition()
        if ts >= partition.due:
            closed += partition.close(ts)
        start = ts - ts % WINDOW_MS
        window = partition.windows.get(start)
        if window is None:
            window = partition.begin(start)
        bar = window.get(tick.key)
        if bar is None:
            window[tick.key] = Open(tick)
            continue
        bar.ticks += 1
        if bid > bar.high:
            bar.high = bid
        elif bid < bar.low:
            bar.low = bid
        # open and close are those of the first and the last tick by (ts, seq)
        if ts > bar.last_ts or (ts == bar.last_ts and tick.seq >= bar.last_seq):
            bar.close, bar.last_ts, bar.last_seq = bid, ts, tick.seq
        elif ts < bar.first_ts or (ts == bar.first_ts and tick.seq < bar.first_seq):
            bar.open, bar.first_ts, bar.first_seq = bid, ts, tick.seq
    return closed


progress = Progress()


@csp.node  # noqa: RET503  # see below
def fold(ticks: ts[[Tick]]) -> ts[[Bar]]:
    """Fold a burst of ticks; the bars that it closes leave together."""
    with csp.state():
        s_partitions: dict[int, Partition] = {}

    if csp.ticked(ticks):
        closed = fold_all(ticks, s_partitions)
        progress.ticks += len(ticks)
        if closed:  # a node that returns nothing does not tick
            return closed


@csp.graph
def bars(bootstrap: str, source: str, target: str, group: str) -> None:
    """From topic to topic."""
    kafka = KafkaAdapterManager(bootstrap, group_id=group)
    ticks = kafka.subscribe(
        Tick,
        JSONTextMessageMapper(),
        source,
        field_map={"ts": "ts", "bid": "bid", "seq": "seq"},
        meta_field_map={"key": "key", "partition": "partition"},
        push_mode=csp.PushMode.BURST,
    )
    kafka.publish(JSONTextMessageMapper(), target, "key", csp.unroll(fold(ticks)))


if __name__ == "__main__":
    progress.print()
    began = datetime.now(UTC).replace(tzinfo=None)
    csp.run(bars, *sys.argv[1:5], starttime=began, endtime=timedelta(hours=1), realtime=True)
