"""Sending recorded ticks to the input topic: looked through first, merged by time, at full speed or in their own time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from app.errors import InputError
from app.settings import Settings
from app.tickfiles import merge, rows
from app.tickfiles.feed import Feed
from app.tickfiles.reading import BadRowError, RefusedRowError, Row
from app.tickfiles.refusals import judge
from app.tickfiles.sources import Source
from app.tickfiles.survey import Part, Scopes, StreamTimes, Survey, Surveyor

_PACE = 0.02  # seconds: rows that are due within this time are sent together
_SHOW_EVERY = 5_000  # rows


@dataclass
class ReplayReport:
    """What was sent, and the largest event time of each symbol (epoch ms, by record key)."""

    rows: int = 0
    heartbeats: int = 0
    left_to_idle: int = 0  # symbols whose last window ends in the future
    skipped: int = 0
    refused: int = 0  # sent, though a worker will reject them
    last_ts: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Replay:
    """Streams of rows and how to send them: `factor` times faster than they happened, None for full speed."""

    settings: Settings
    sources: Sequence[Source]
    reading: rows.Reading
    factor: float | None = None
    skip_bad: bool = False
    skip_rejected: bool = False
    reorder: int = 0  # ms: rows of one stream that are out of order by up to this are put in order
    close: bool = True  # end with a heartbeat per symbol, which closes its last window

    async def look(self, scopes: Scopes, reached: StreamTimes, show: Callable[[int], None]) -> Survey:
        """Read everything without sending. Raises `InputError` for the first bad row, unless they are skipped."""
        surveyor = Surveyor(self.settings, scopes, reached, streams=len(self.sources))
        reading = replace(self.reading, judge=judge(self.settings))
        for source in self.sources:
            before = surveyor.survey.rows
            for rows_of_it in surveyor.part(source, self._rows(source, reading), self._skips):
                show(before + rows_of_it)
                await asyncio.sleep(0)  # so that Ctrl-C ends it
        return surveyor.survey

    async def send(self, feed: Feed, parts: Sequence[Part], show: Callable[[int], None]) -> ReplayReport:
        """Send all rows, then the heartbeats; `show` gets the number of rows sent so far.

        Rows that are left out are in `<file>.rejected` afterwards. Raises `InputError` for a bad row that was not there before.
        """
        report = ReplayReport()
        with ExitStack() as stack:
            rejected: dict[Path, rows.RejectedFile] = {}
            if self.skip_bad or self.skip_rejected:
                for source in self.sources:
                    if source.given not in rejected:
                        rejected[source.given] = stack.enter_context(rows.rejected_file(source.given))
            # only what is left out has to be judged again
            reading = replace(self.reading, judge=judge(self.settings)) if self.skip_rejected else self.reading
            openers = [(part.first, partial(self._good, part.source, reading, rejected, report)) for part in parts if part.rows]
            await self._send_rows(feed, merge.merged(openers, _time_of), report, show)
            if self.close:
                await feed.settle()  # a heartbeat must not overtake a tick of another partition's batch
                self._close_windows(feed, report, now_ms=time.time_ns() // 1_000_000)
        return report

    def _rows(self, source: Source, reading: rows.Reading) -> Iterator[Row | BadRowError]:
        found = rows.stream(source, reading)
        return merge.reordered(found, _time_of_any, self.reorder) if self.reorder else found

    def _skips(self, row: BadRowError) -> bool:
        """Whether a row is left out; raises it if it can be neither sent nor left out."""
        if isinstance(row, RefusedRowError):
            return self.skip_rejected
        if not self.skip_bad:
            raise InputError(f"{row}; nothing was sent (--skip-bad sends the others)")
        return True

    def _good(
        self, source: Source, reading: rows.Reading, rejected: dict[Path, rows.RejectedFile], report: ReplayReport
    ) -> Iterator[Row]:
        for row in self._rows(source, reading):
            if not isinstance(row, BadRowError):
                yield row
            elif source.given not in rejected or not (self.skip_bad or isinstance(row, RefusedRowError)):
                raise InputError(f"{row}; the file changed after it was checked, {report.rows} rows were sent")
            else:
                rejected[source.given].append(row.text)
                report.skipped += 1

    async def _send_rows(self, feed: Feed, source: Iterator[Row], report: ReplayReport, show: Callable[[int], None]) -> None:
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
                await asyncio.sleep(0)  # so that Ctrl-C ends it

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


def _time_of(row: Row) -> int:
    return row.ts_ms


def _time_of_any(row: Row | BadRowError) -> int | None:
    if isinstance(row, RefusedRowError):
        return row.row.ts_ms
    return None if isinstance(row, BadRowError) else row.ts_ms


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
