"""Folds the bars of a frame that is not kept from the shorter bars in the read model, and from the open windows of these.

A window counts as closed where the newest final bar, or the engine if all its bars are here, has a watermark past its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.readmodel.queries import Queries, StoredSymbol
from app.web.frames import MAX_FOLDED
from app.web.models.bars import FoldedBar, OpenWindow
from tables.bars import Bar, decode_bar
from tables.folding import fold

Span = Callable[[int], tuple[int, int]]


class Known(NamedTuple):
    """What the engine of a partition knows, if it runs here and all its bars have been read: epoch ms."""

    watermark: int | None = None
    cut: int | None = None  # see `Engine.cut`


@dataclass(frozen=True)
class Wanted:
    """Which bars are folded. `before`: as in `Queries.bars`."""

    frame: str
    span: Span
    since: int
    until: int
    limit: int
    before: int = 0
    opened: Sequence[OpenWindow] = ()  # of the frame that they are folded from
    known: dict[int, Known] = field(default_factory=dict)  # by partition
    scale: int | None = None  # see `Settings.bar_scale`


class FoldedPage(NamedTuple):
    """Folded bars, oldest first, and where to go on: start and partition of the oldest one, if there may be older ones."""

    bars: list[FoldedBar]
    open: list[FoldedBar]
    next: tuple[int, int] | None


@dataclass
class _Window:
    start: int
    end: int
    partition: int
    bars: list[Bar] = field(default_factory=list)  # oldest first
    opened: list[OpenWindow] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, int]:
        return self.start, self.partition


def folded_page(queries: Queries, places: Sequence[StoredSymbol], names: tuple[str, str], wanted: Wanted) -> FoldedPage:
    """A page of folded bars: the newest `wanted.limit` of all partitions, or as many as may be folded in one request."""
    found: list[_Window] = []
    unread = 0  # of what starts before this, some partition has more
    for place in places:
        windows, more = _gather(queries, place, wanted)
        found += windows
        if more and windows:
            unread = max(unread, windows[-1].start)
    found.sort(key=lambda window: window.place, reverse=True)
    page = [window for window in found if window.start >= unread][: wanted.limit]
    oldest = page[-1].place if page and (unread or len(page) < len(found)) else None
    _add_opened(page, wanted, oldest)
    newest = {place.partition: _watermark(queries, place) for place in places}
    result = FoldedPage([], [], oldest)
    for window in sorted(page, key=lambda window: window.place):
        known = wanted.known.get(window.partition, Known())
        watermarks = [one for one in (newest.get(window.partition), known.watermark) if one is not None]
        bar = _folded(window, names, wanted, max(watermarks, default=None), known.cut)
        (result.bars if bar.final else result.open).append(bar)
    return result


def _gather(queries: Queries, place: StoredSymbol, wanted: Wanted) -> tuple[list[_Window], bool]:
    """The newest windows of one partition that have bars, newest first, and whether there may be older ones."""
    until = wanted.until + (place.partition < wanted.before)
    found: list[_Window] = []
    stored = queries.newest_first(place, _end_of_last(queries, place, wanted.span, until))
    for count, one in enumerate(stored):
        if found and one.start >= found[-1].start:
            window = found[-1]
        else:
            start, end = wanted.span(one.start)
            if start < wanted.since:
                break
            if len(found) > wanted.limit:
                return _in_order(found), True
            window = _Window(start, end, place.partition)
            found.append(window)
        if count >= MAX_FOLDED:  # the last window is not whole
            return _in_order(found[:-1]), True
        window.bars.append(decode_bar(one.value))
    return _in_order(found), False


def _in_order(windows: list[_Window]) -> list[_Window]:
    for window in windows:
        window.bars.reverse()
    return windows


def _end_of_last(queries: Queries, place: StoredSymbol, span: Span, until: int) -> int:
    """The end of the last window that starts before this time: bars within it may start later than that."""
    newest = queries.bars([place], 0, 1 << 60, 1)
    if not newest or newest[0].start < until:
        return 1 << 60
    return until if span(until)[0] == until else span(until - 1)[1]


def _add_opened(page: list[_Window], wanted: Wanted, oldest: tuple[int, int] | None) -> None:
    """Add the open windows of the page, those of its last bars as well."""
    windows = {window.place: window for window in page}
    for opened in wanted.opened:
        start, end = wanted.span(opened.bucket_start)
        place = start, opened.partition
        if start < wanted.since or place >= (wanted.until, wanted.before) or (oldest is not None and place < oldest):
            continue
        window = windows.get(place)
        if window is None:
            window = windows[place] = _Window(start, end, opened.partition)
            page.append(window)
        if not any(bar.bucket_start == opened.bucket_start for bar in window.bars):  # it has closed in between
            window.opened.append(opened)


def _watermark(queries: Queries, place: StoredSymbol) -> int | None:
    """The watermark of the newest final bar. A revision says nothing: it is in another topic, which may be read sooner."""
    newest = queries.newest_final(place)
    return None if newest is None else decode_bar(newest).watermark


def _folded(window: _Window, names: tuple[str, str], wanted: Wanted, watermark: int | None, cut: int | None) -> FoldedBar:
    bars, opened = window.bars, sorted(window.opened, key=lambda one: one.bucket_start)
    whole = fold([*bars, *opened], window.start, window.end, wanted.scale)
    cut_within = cut is not None and window.start <= cut < window.end
    return FoldedBar.model_construct(
        broker=names[0],
        symbol=names[1],
        **{name: getattr(whole, name) for name in whole.__struct_fields__ if name != "partial"},
        revision=sum(bar.revision for bar in bars),
        partial=whole.partial or cut_within,
        partition=window.partition,
        frame=wanted.frame,
        final=not opened and watermark is not None and window.end <= watermark,
        watermark=watermark,
    )
