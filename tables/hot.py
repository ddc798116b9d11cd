"""The fast path: a plain tick of a known symbol that closes nothing, folded without a function call.

Everything else goes to the engine's `_process`, before anything has been changed. Both give the same result: the property tests
compare the engine with a reference model, and most of their records take this path.

`tables/hot_decoded.py` is the same loop for ticks that a layout has decoded, written by `python -m tests.support.decoded_path`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from tables.config import EngineConfig
from tables.idle import IdleScheduler
from tables.open_windows import OpenWindows
from tables.price_check import price_check
from tables.progress import CLOCK_STEP, Progress
from tables.records import Record
from tables.scopes import NEVER
from tables.ticks import MAX_DIGITS, ZERO, RawTick, RejectedError
from tables.window import new_window

_TOO_LARGE = Decimal(10) ** MAX_DIGITS  # infinity is not below it
_NO_TICK = (
    *(msgspec.MsgspecError, DecimalException, TypeError, RecursionError, UnicodeDecodeError, RejectedError),
    AttributeError,  # of a price that is missing
)
Process = Callable[[Record, int | None, RawTick | None], None]


class FastPath:
    """Folds ticks that arrived at the same time. It needs `time_unit=ms`, and a `price` other than `mid`."""

    def __init__(
        self,
        config: EngineConfig,
        windows: OpenWindows,
        scheduler: IdleScheduler,
        progress: Progress,
        decode: Callable[[Any], RawTick],
    ) -> None:
        self._config = config
        self._windows = windows
        self._scheduler = scheduler
        self._progress = progress
        self._floor = ZERO if config.positive else -_TOO_LARGE  # prices above it
        self._check_digits = price_check(config)
        self._decode: Callable[[Any], Any] = decode  # typed locals follow the call; a cast would cost one more

    def feed(self, records: Iterable[Record], arrived: int, process: Process) -> None:  # noqa: C901, PLR0912, PLR0915  # a call a tick would cost more than the fold
        """Process records in offset order that all arrived at `arrived` (epoch ms).

        `process` handles a record that is not plain, and gets its decoded tick where there is one. It is the engine's method,
        passed at each call: a reference to the engine kept here would be a cycle, and keep a former engine in memory.
        """
        decode, check_digits, floor, too_large = self._decode, self._check_digits, self._floor, _TOO_LARGE
        windows, progress, schedule = self._windows, self._progress, self._scheduler.schedule
        symbols, changed, add = windows.symbols, windows.changed, windows.add
        config = self._config
        size, grace, min_ts = config.window_size, config.grace, config.min_ts
        latest = arrived + min(config.grace, config.max_future)  # stream time does not follow a tick that is further ahead
        arrival, timer = progress.arrival, progress.timer
        usual = timer < arrived <= arrival <= arrived + CLOCK_STEP and windows.cut != NEVER
        binned, offset = 0, progress.next_offset - 1
        for record in records:
            symbol = symbols.get(record.key)
            tick: Any = None
            plain = False
            if usual and symbol is not None:
                try:
                    tick = decode(record.value)
                    ts: int = tick.ts  # text raises in the comparison below
                    price: Decimal = tick.price
                    scope = symbol.scope
                    if (
                        min_ts <= ts <= latest
                        and ts < scope.deadline
                        and not tick.heartbeat
                        and tick.qty is None
                        and tick.broker is None
                        and tick.symbol is None
                    ):
                        window = symbol.current
                        if window is None or not 0 < window.end - ts <= size:
                            end = ts - ts % size + size
                            window = symbol.switch_to(end) if symbol.others else None
                        if window is None:
                            plain = end + grace > scope.stream_time and floor < price < too_large
                        elif price < window.high:  # not a number: raises
                            inside = price > window.low
                            plain = inside or price > floor
                        else:
                            inside, plain = False, price < too_large
                        check_digits(price)
                except _NO_TICK:
                    plain = False  # `process` determines what is wrong with it
            if not plain or symbol is None or tick is None:
                progress.next_offset = offset + 1
                process(record, None, tick)
                offset, arrival, timer = record.offset, progress.arrival, progress.timer
                usual = timer < arrived <= arrival <= arrived + CLOCK_STEP
                continue
            offset = record.offset
            if ts > scope.stream_time:
                sooner = arrival - ts < scope.advanced_at - scope.stream_time
                scope.stream_time = ts
                scope.advanced_at = arrival
                if sooner:
                    schedule(scope)
            if window is None:
                bucket = scope.buckets.get(end)
                if bucket is not None:
                    end = bucket.end  # Share the bucket's int; a copy per window costs a cache miss each.
                window = new_window(end, arrival, price, ts, tick.seq, offset)
                if symbol.current is None:
                    symbol.current = window
                else:
                    symbol.open(window)
                if bucket is not None and bucket.last_opened_at == arrival:
                    bucket.symbols.append(symbol)
                    windows.count += 1
                else:
                    add(scope, symbol, end, arrival)
            else:
                if not inside:
                    if price > window.high:
                        window.high, window.high_ts, window.high_seq, window.high_offset = price, ts, tick.seq, offset
                    elif price < window.low:
                        window.low, window.low_ts, window.low_seq, window.low_offset = price, ts, tick.seq, offset
                    else:
                        window.update_high_low(price, ts, tick.seq, offset)
                if ts > window.close_ts:
                    window.close = price
                    window.close_ts = ts
                    window.close_seq = tick.seq
                    window.close_offset = offset
                else:
                    window.update_open_close(price, ts, tick.seq, offset)
                window.ticks += 1
                window.last_offset = offset
            if not symbol.dirty:
                symbol.dirty = True
                changed.append(symbol)
            binned += 1
        progress.next_offset = offset + 1
        progress.counters.binned += binned
        progress.counters.read += binned
