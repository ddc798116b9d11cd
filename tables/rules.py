"""The rules for one record: what is rejected, what moves stream time, what is late, and what is folded into a window."""

from __future__ import annotations

from tables.after_close import AfterClose
from tables.bar_formats.numbers import BarNumbers
from tables.config import EngineConfig
from tables.core import first_window
from tables.idle import IdleScheduler
from tables.layouts.layout import TickLayout
from tables.open_windows import OpenWindows
from tables.progress import Progress
from tables.records import Record, SideRecord, is_cut, is_marker, original_of
from tables.scopes import Scope
from tables.ticks import RawTick, RejectedError, check_name, event_time, name_of, price_of, quantity_of, read
from tables.window import Window


class TickRules:
    """Applies the rules to any record; `tables.hot` repeats them inline for the common case: change both."""

    def __init__(
        self,
        config: EngineConfig,
        windows: OpenWindows,
        scheduler: IdleScheduler,
        progress: Progress,
        layout: TickLayout,
    ) -> None:
        self._config = config
        self._windows = windows
        self._scheduler = scheduler
        self._progress = progress
        self._decode = layout.decode
        self._names = layout.names
        self._numbers = None if config.bar_scale is None else BarNumbers(config.bar_scale)
        self._price_name = getattr(layout.names, config.price, "mid")
        self._integer_ms = config.time_unit == "ms"
        self._side: list[SideRecord] = []
        self._late = "expired" if config.correct else "late"  # why a tick is late
        self.overtaken = False  # whether a late tick opened a longer window, which may be due already

    def take_side(self) -> list[SideRecord]:
        """The late and rejected records since the last call, in order."""
        side, self._side = self._side, []
        return side

    def apply(self, record: Record, arrived: int, tick: RawTick | None = None) -> None:
        """Count a record, and fold, reject or drop it. `arrived`: epoch ms. `tick`: its decoded value, if known."""
        if is_marker(record):
            self._progress.counters.heartbeats += 1
            if is_cut(record):
                self._windows.cut = max(self._progress.arrival, getattr(record, "copied_at", arrived))
            return
        try:
            self._classify(record, arrived, tick or read(self._decode, record.value))
        except RejectedError as error:
            self._progress.counters.rejected += 1
            self._side.append(SideRecord(record.offset, "rejected", error.reason, error.detail, original_of(record)))

    def _classify(self, record: Record, arrived: int, tick: RawTick) -> None:  # noqa: C901, PLR0912  # the rules, in their order
        """Fold a tick into its window, or count it as late or as a heartbeat. Raises `RejectedError`."""
        config, windows, progress, offset = self._config, self._windows, self._progress, record.offset
        counters = progress.counters
        key = record.key
        symbol = windows.symbols.get(key)
        name = symbol.name if symbol is not None else name_of(key)
        if tick.broker is not None or tick.symbol is not None:
            check_name(tick, name)
        # Avoids the arithmetic of event_time in the common case: a tick that opens a symbol's first window gets here.
        ts, ms = (tick.ts, tick.ts) if self._integer_ms and type(tick.ts) is int else event_time(tick.ts, config.time_unit)
        heartbeat = tick.heartbeat
        if not heartbeat:
            price = price_of(tick, config.price, positive=config.positive, names=self._names)
            qty = quantity_of(tick, self._names.qty)
            if self._numbers is not None:
                self._numbers.check(price, qty, self._price_name, self._names.qty)
        self._check_time(tick.ts, ms, arrived)
        assert key is not None  # noqa: S101  # name_of has refused it
        if windows.per_symbol and symbol is None:
            symbol = windows.symbol_of(key, name)
        scope = symbol.scope if symbol is not None else windows.scope_of(name)
        # A clock that runs ahead moves the watermark no further than the arrival: it cuts off nobody's window.
        moves_to = min(ms, arrived + config.grace)
        if moves_to > scope.stream_time:
            self._scheduler.advance_stream_time(scope, moves_to, progress.arrival)
            windows.mark_moved(scope)
            windows.close(scope, "watermark", offset, progress.arrival)
            if windows.per_symbol and symbol is not None:
                windows.mark_changed(symbol)
        if heartbeat:
            counters.heartbeats += 1
            if windows.per_symbol and symbol is not None:
                windows.mark_changed(symbol)
            return
        end = ms - ms % config.window_size + config.window_size
        if end + config.grace <= scope.stream_time:
            if windows.after is not None:
                late = first_window(end, progress.arrival, price, qty, ts, tick.seq, offset)
                if self._corrects(windows.after, scope, key, name, late):
                    return
            counters.late += 1
            detail = f"window [{end - config.window_size}, {end}): the watermark is {scope.stream_time - config.grace}"
            self._side.append(SideRecord(offset, "late", self._late, detail, original_of(record)))
            return
        counters.binned += 1
        if symbol is None:
            symbol = windows.symbol_of(key, name)
        if symbol.switch_to(end) is None:
            symbol.open(windows.core.first_window(end, progress.arrival, price, qty, ts, tick.seq, offset))
            windows.add(scope, symbol, end, progress.arrival)
        else:
            symbol.fold(price, qty, ts, tick.seq, offset)
        windows.mark_changed(symbol)

    def _corrects(self, after: AfterClose, scope: Scope, key: bytes, name: tuple[str, str], late: Window) -> bool:
        """Count a late tick, a window of its own, as part of a revision, if its window can be corrected."""
        opened = after.correct(scope, key, name, late, self._progress.arrival)
        if opened is None:
            return False
        self._progress.counters.corrected += 1
        if opened:
            scope.settle(self._config.grace)
            self._scheduler.schedule(scope)
            self.overtaken = True
        return True

    def _check_time(self, ts: int | str, ms: int, arrived: int) -> None:
        """Raise `RejectedError` where the event time `ms` is before `min_ts` or too far ahead of the record's arrival."""
        config = self._config
        if ms < config.min_ts:
            detail = f"{self._names.ts}: {ts} is before min_ts={config.min_ts} ms (is time_unit={config.time_unit} right?)"
            raise RejectedError("ts", detail)
        if ms > arrived + config.max_future:
            detail = f"{self._names.ts}: {ts} is {ms - arrived} ms after its arrival, max_future is {config.max_future} ms"
            raise RejectedError("future", detail)
