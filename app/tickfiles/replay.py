"""Sending recorded ticks to the input topic: checked first, merged by time, at full speed or in their own time."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from app.errors import InputError
from app.settings import Settings
from app.tickfiles import rows
from app.tickfiles.feed import Feed

_PACE = 0.02  # seconds: rows that are due within this time are sent together
_SHOW_EVERY = 5_000  # rows


@dataclass
class ReplayReport:
    """What was sent, and the largest event time of each symbol (epoch ms, by record key)."""

    rows: int = 0
    heartbeats: int = 0
    left_to_idle: int = 0  # symbols whose last window ends in the future
    skipped: int = 0
    out_of_time: int = 0  # sent, but the worker will reject them: before min_ts or too far ahead
    last_ts: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Replay:
    """Files and how to send them: `factor` times faster than they happened, None for full speed."""

    settings: Settings
    files: tuple[Path, ...]
    reading: rows.Reading
    factor: float | None = None
    skip_bad: bool = False
    close: bool = True  # end with a heartbeat per symbol, which closes its last window

    def check(self) -> int | None:
        """Number of rows; raises `InputError` for the first bad one. None with `skip_bad`, which checks nothing."""
        return None if self.skip_bad else sum(_count(path, self.reading) for path in self.files)

    async def send(self, feed: Feed, show: Callable[[int], None]) -> ReplayReport:
        """Send all rows, then the heartbeats; `show` gets the number of rows sent so far.

        Bad rows are in `<file>.rejected` afterwards. Raises `InputError` for a bad row that `check` did not see.
        """
        report, reading = ReplayReport(), self.reading
        with ExitStack() as stack:
            rejected = {path: stack.enter_context(rows.rejected_file(path)) for path in self.files if self.skip_bad}
            sources = [_good(part, rejected.get(path), report) for path in self.files for part in rows.streams(path, reading)]
            merged = sources[0] if len(sources) == 1 else heapq.merge(*sources, key=attrgetter("ts_ms"))
            await self._send_rows(feed, self._count_out_of_time(merged, report), report, show)
            if self.close:
                await feed.settle()  # a heartbeat must not overtake a tick of another partition's batch
                self._close_windows(feed, report, now_ms=time.time_ns() // 1_000_000)
        return report

    async def _send_rows(
        self, feed: Feed, source: Iterator[rows.Row], report: ReplayReport, show: Callable[[int], None]
    ) -> None:
        last_ts, began, first, factor = report.last_ts, time.monotonic(), None, self.factor
        for row in source:
            if factor is not None:
                first = row.ts_ms if first is None else first
                ahead = (row.ts_ms - first) / 1000 / factor - (time.monotonic() - began)
                if ahead > _PACE:
                    await feed.flush(everything=True)
                    show(report.rows)
                    await asyncio.sleep(ahead)
            if feed.put(row.key, row.value):
                await feed.flush()
            report.rows += 1
            if row.ts_ms > last_ts.get(row.key, -1):
                last_ts[row.key] = row.ts_ms
            if report.rows % _SHOW_EVERY == 0:
                show(report.rows)

    def _count_out_of_time(self, source: Iterator[rows.Row], report: ReplayReport) -> Iterator[rows.Row]:
        """The same rows, counting those whose time the worker will reject: they explain bars that are missing."""
        latest = 0
        for row in source:
            if row.ts_ms > latest:
                latest = time.time_ns() // 1_000_000 + self.settings.max_future
            report.out_of_time += not self.settings.min_ts <= row.ts_ms <= latest
            yield row

    def _close_windows(self, feed: Feed, report: ReplayReport, now_ms: int) -> None:
        """A heartbeat per symbol at the end of its last window + grace.

        None where that time is in the future: the worker might reject it, and idle close will close the window.
        """
        size = self.settings.window_size
        for key, ts in report.last_ts.items():
            closes = ts - ts % size + size + self.settings.grace
            if closes > now_ms:
                report.left_to_idle += 1
                continue
            feed.put(key, b'{"ts":%d,"heartbeat":true}' % rows.from_ms(closes, self.settings.time_unit.value))
            report.heartbeats += 1


def speed(text: str) -> float | None:
    """The factor, or None for as fast as possible; raises `InputError`."""
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise InputError(f"--speed {text}: must be max or a number above 0")
    return factor


def _count(path: Path, reading: rows.Reading) -> int:
    """Number of rows of a file; raises its first bad row, so that nothing of it is sent."""
    count = 0
    for row in rows.rows(path, reading):
        if isinstance(row, rows.BadRowError):
            raise InputError(f"{row}; nothing was sent (--skip-bad sends the others)")
        count += 1
    return count


def _good(part: Iterator[rows.Row | rows.BadRowError], rejected: list[str] | None, report: ReplayReport) -> Iterator[rows.Row]:
    for row in part:
        if isinstance(row, rows.BadRowError):
            if rejected is None:
                raise InputError(f"{row}; the file changed after it was checked, {report.rows} rows were sent")
            rejected.append(row.text)
            report.skipped += 1
        else:
            yield row
