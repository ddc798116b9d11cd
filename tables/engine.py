"""The engine of one source partition: records in offset order in, closed windows, late ticks and rejects out.

It is pure. It reads no clock and does no I/O, and gives the same answer for the same log however the log is cut into slices
and whenever the timer fires.

    engine = Engine(EngineConfig())
    engine.feed(records)                # records in offset order, each with its arrival time
    engine.advance_arrival(arrival_ms)  # "arrival time has reached this, and no unread record arrived before it"
    engine.take_closed()                # closed windows, in order; `tables.emission` makes bars of them
    engine.take_side()                  # late and rejected records
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice
from operator import attrgetter

from tables.bar_formats.records import ClosedBar
from tables.bars import Bar
from tables.config import EngineConfig
from tables.emission import Closed
from tables.hot import FastPath
from tables.hot_decoded import DecodedPath
from tables.idle import IdleScheduler
from tables.layouts.layout import OwnLayout, TickLayout, is_own_layout
from tables.native import core_for, fast_path, read_batch
from tables.open_windows import OpenWindows
from tables.progress import CLOCK_STEP, Progress
from tables.records import Record, RecordBatch, SideRecord
from tables.repartitioned import RepartitionedLayout
from tables.replay import Replay
from tables.rules import TickRules
from tables.runs import decoded_by, feed_runs, taken
from tables.scopes import NEVER, UNKNOWN, Symbol
from tables.silence import Silence
from tables.snapshots import Beyond, Snapshots
from tables.state import Counters, SymbolState
from tables.ticks import PER_SECOND, RawTick

_timestamp_of = attrgetter("timestamp")


def _python_path(
    layout: TickLayout, config: EngineConfig, windows: OpenWindows, scheduler: IdleScheduler, progress: Progress
) -> FastPath | DecodedPath | None:
    """The fast path of the core in Python; None where it does not know the settings."""
    if config.time_unit != "ms" or config.price == "mid":
        return None
    parts, decoded = (config, windows, scheduler, progress), decoded_by(layout)
    return FastPath(*parts, layout.decode) if decoded is None else DecodedPath(*parts, decoded)


class Engine:
    """Takes records and timer calls in order. Composed of rules, fast path, open windows, idle scheduler and snapshots."""

    def __init__(
        self, config: EngineConfig, next_offset: int = 0, layout: TickLayout | None = None, native: str | None = None
    ) -> None:
        """`layout`: how the records hold ticks; None: the default layout. `native`: which core, see `tables.native`."""
        self.config = config
        self.scheduler = IdleScheduler(config)
        self.core = core_for(config, native, own_layout=is_own_layout(layout))
        self.windows = OpenWindows(config, self.scheduler, self.core)
        self.progress = Progress(next_offset)
        self.snapshots = Snapshots(self.windows, self.progress)
        layout = OwnLayout(config.price, PER_SECOND[config.time_unit]) if layout is None else layout
        self._layout = layout
        self._copies = isinstance(layout, RepartitionedLayout)
        self._rules = TickRules(config, self.windows, self.scheduler, self.progress, layout)
        self._silence = Silence(config, self.windows, self.scheduler, self.progress)
        parts = config, self.windows, self.scheduler, self.progress
        self._fast = fast_path(self.core, *parts, self._silence) or _python_path(layout, *parts)
        self._replay: Replay | None = None

    # ---- state, for readers

    @property
    def next_offset(self) -> int:
        """One after the last record processed."""
        return self.progress.next_offset

    @property
    def arrival(self) -> int:
        """The running maximum of arrival times, epoch ms."""
        return self.progress.arrival

    @property
    def counters(self) -> Counters:
        """Counts of the records, by outcome."""
        return self.progress.counters

    @property
    def arrival_violations(self) -> int:
        """Records that arrived at or before a time that the timer had passed."""
        return self.progress.arrival_violations

    @property
    def clock_steps(self) -> int:
        """How often the running maximum of arrival times was taken back, because the clock that gave it had been wrong."""
        return self.progress.clock_steps

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return self.windows.count

    @property
    def bars_waiting(self) -> int:
        """How many windows have closed since `take_closed`."""
        return self.windows.closed_count

    @property
    def symbols(self) -> Mapping[bytes, Symbol]:
        """Symbols by record key; some have no open window."""
        return self.windows.symbols

    @property
    def replaying(self) -> bool:
        """Whether the engine is still within the tail of a restart: until its end there is no checkpoint and no idle close."""
        return self._replay is not None and self._replay.in_tail(self.next_offset)

    @property
    def cut(self) -> int:
        """Windows that had begun at this arrival time (epoch ms) may lack ticks. `NEVER`: all, until a record sets it."""
        return self.windows.cut

    def stream_times(self) -> dict[str, tuple[int, int]]:
        """Stream time and the arrival that moved it, by scope; empty under scope `symbol`."""
        return self.windows.stream_times()

    # ---- out

    def take_closed(self) -> list[Closed]:
        """The windows that closed since the last call, in order."""
        return self.windows.take_closed()

    def take_side(self) -> list[SideRecord]:
        """The late and rejected records since the last call, in order."""
        return self._rules.take_side()

    def take_after_close(self) -> list[Closed]:
        """Longer windows that closed, and windows that late ticks revised, since the last call; see `emission.unpacked`."""
        return [] if self.windows.after is None else self.windows.after.take_closed()

    # ---- in

    def restore(  # noqa: PLR0913  # the parts of a checkpoint
        self,
        counters: Counters,
        arrival: int,
        stream_times: Mapping[str, tuple[int, int]],
        states: Mapping[bytes, SymbolState],
        tail: Sequence[Bar | ClosedBar],
        cut: int = UNKNOWN,
        cuts: Sequence[int] = (),
        *,
        beyond: Beyond | None = None,
    ) -> None:
        """Restore what a checkpoint stored; `tail`: the bars published after it, `cuts`: see `Replay`. See also `Beyond`."""
        self.windows.cut = cut
        self.progress.counters, self.progress.arrival = counters, arrival
        self.snapshots.restore(stream_times, states)
        self.snapshots.restore_beyond(beyond or Beyond())
        replay = self._replay = Replay(tail, self.windows, self.scheduler, cuts)
        self.windows.published = replay.published
        replay.advance_to(self.next_offset, self._silence.pass_within_tail)
        if not self.replaying:
            self._replay = self.windows.published = None

    def feed(self, records: Iterable[Record], arrival_cap: int | None = None) -> None:
        """Process records in offset order, each at its own arrival time.

        `arrival_cap`: for records with their producers' timestamps (CreateTime), the time of the fetch (epoch ms). No record
        can have arrived after it, and one without a timestamp is taken to have arrived then.
        """
        if arrival_cap is None:
            once = (record for record in records)  # a raw batch must not be iterated again after its last record
            for arrived, together in groupby(once, _timestamp_of):
                self.feed_same_arrival(together, arrived)
        elif self._fast is not None and self._replay is None:
            feed_runs(self._fast, self._layout, records, arrival_cap, self.progress, self._process)
        else:
            for record in self._feed_replay(taken(records, self._layout.decoded), arrival_cap):
                self._process(record, arrival_cap)

    def feed_same_arrival(self, records: Iterable[Record], arrived: int) -> None:
        """Process records in offset order that all arrived at `arrived` (epoch ms), as those of a LogAppendTime batch did."""
        if self._fast is not None and self._replay is None and not self._copies:
            self._fast.feed(records, arrived, self._process)
        else:
            for record in self._feed_replay(taken(records, self._layout.decoded), None):
                self._process(record)

    def feed_batch(self, batch: RecordBatch, first_offset: int) -> None:
        """Process the records from an offset on of a batch whose records all arrived at its `max_timestamp`."""
        begin = 0 if self._replay is not None else read_batch(self._fast, batch, first_offset, self._process)
        if begin is not None:
            rest = (record for record in islice(batch, begin, None) if record.offset >= first_offset)
            self.feed_same_arrival(rest, batch.max_timestamp)

    def advance_arrival(self, t: int) -> None:
        """Declare that every record that arrived up to `t` (epoch ms) has been read, and close what is due.

        The timer calls this. It is ignored until a replay has ended.
        """
        progress = self.progress
        if t > progress.arrival and not self.replaying:
            progress.arrival = progress.timer = t
            self._silence.pass_to(t + 1)

    def any_due(self, t: int) -> bool:
        """Whether silence up to the arrival time `t` (epoch ms) would close a window, or publish a revision."""
        return not self.replaying and self._silence.any_due(t)

    def leave_wrong_clock(self, now: int) -> bool:
        """Take the arrival clock back where it is more than a minute ahead of the broker's time `now` (epoch ms).

        A clock that was wrong may have given the arrival times so far. Returns whether it had.
        """
        if self.replaying or now >= self.progress.arrival - CLOCK_STEP:
            return False
        self._silence.step_back(now)
        return True

    def _feed_replay(self, records: Iterable[Record], arrival_cap: int | None) -> Iterable[Record]:
        """Process the records that a replay has still to pass; return the others."""
        replay = self._replay
        if replay is None:
            return records
        records = (record for record in records)  # iterated once: the caller goes on where this loop stops
        for record in records:
            self._process(record, arrival_cap)
            if not replay.in_tail(self.next_offset):
                self._replay = self.windows.published = None
                break
        return records

    def _process(self, record: Record, arrival_cap: int | None = None, tick: RawTick | None = None) -> None:
        """Process any record. `tick`: its decoded value, where the fast path has decoded it already."""
        progress, replay = self.progress, self._replay
        offset, arrived = record.offset, record.timestamp
        if arrival_cap is not None and not 0 <= arrived <= arrival_cap:  # Kafka's -1: no timestamp
            arrived = arrival_cap
        if arrival_cap is None and arrived < progress.arrival - CLOCK_STEP:
            self._silence.step_back(arrived)
        if self.windows.cut == NEVER:
            self.windows.cut = max(progress.arrival, arrived)
        if arrived <= progress.timer:
            progress.arrival_violations += 1
        if replay is not None:
            replay.advance_to(offset, self._silence.pass_within_tail)
        if arrived > progress.arrival or replay is not None:
            progress.arrival = max(progress.arrival, arrived)
            self._silence.pass_to(progress.arrival, in_tail=replay is not None and replay.in_tail(offset))
        progress.next_offset = offset + 1
        progress.counters.read += 1
        self._rules.apply(record, arrived, tick)
        if self._rules.overtaken:
            self._rules.overtaken = False
            self._silence.pass_to(progress.arrival, in_tail=replay is not None and replay.in_tail(offset + 1))
        if replay is not None:
            replay.advance_to(offset + 1, self._silence.pass_within_tail)
