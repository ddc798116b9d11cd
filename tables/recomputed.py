"""Bars that are computed once more from their ticks, compared with those that were published.

A difference becomes a revision: the whole bar, with the number after that of its newest version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from tables.bars import Bar
from tables.emission import Closed, Named, unpacked
from tables.engine import Engine
from tables.scopes import NEVER
from tables.window import Window, pack_window

Place = tuple[str, bytes, int]  # frame (empty: the base), `broker|symbol`, start (epoch ms)


class Kind(StrEnum):
    """How a window differs."""

    changed = "changed"  # the two bars are not the same
    missing = "missing"  # it has ticks, and no bar was published
    unfounded = "unfounded"  # a bar was published, and no tick is found


class Recomputed(NamedTuple):
    """A window, and the ticks of it that were found. `partial`: reading began inside it."""

    step: Closed
    symbol: Named
    window: Window
    partial: bool

    @property
    def place(self) -> Place:
        """Which window it is."""
        return self.step.frame, self.symbol.key, self.step.start


class Difference(NamedTuple):
    """A window whose two bars differ."""

    place: Place
    kind: Kind
    published: Bar | None
    recomputed: Recomputed | None

    @property
    def revision(self) -> int:
        """The number of the revision that puts it right."""
        return 1 if self.published is None else self.published.revision + 1


def closed_within(engine: Engine, since: int, until: int) -> list[Closed]:
    """What has closed since the last call, of windows within two times (epoch ms). It frees all else."""
    steps = [*engine.take_closed(), *engine.take_after_close()]
    engine.take_side()
    return [step for step in steps if since <= step.start and step.end <= until and step.closes is None and not step.revision]


def close_all(engine: Engine) -> None:
    """Close what is open, in the order of time: no record comes any more."""
    windows = engine.windows
    for scope in windows.all_scopes():
        while scope.deadline != NEVER:
            scope.stream_time = scope.deadline
            windows.close(scope, "watermark", engine.next_offset, engine.arrival)


def windows_of(steps: Iterable[Closed]) -> Iterator[Recomputed]:
    """The windows of these steps, one by one."""
    for step in unpacked(steps):
        for symbol, window in zip(step.symbols, step.windows, strict=True):
            yield Recomputed(step, symbol, window, step.is_partial(window))


def difference(published: Bar | None, found: Recomputed) -> Difference | None:
    """Compare a window with its newest published bar. A flat bar is none: it has no tick."""
    window = found.window
    if published is None or not published.ticks:
        return Difference(found.place, Kind.missing, published, found)
    ours = window.open, window.high, window.low, window.close, window.volume, window.ticks
    theirs = published.open, published.high, published.low, published.close, published.volume, published.ticks
    return None if ours == theirs else Difference(found.place, Kind.changed, published, found)


def revision_of(one: Difference, at: int, watermark: int, offset: int, *, keeps_offsets: bool) -> Closed:
    """The step of a revision, at this arrival time (epoch ms), as `emission.unpacked` takes it.

    `offset`: up to where the input was read. `keeps_offsets`: the ticks are those of the input, so their offsets say where
    they are; otherwise the revision repeats those of the bar before.
    """
    assert one.recomputed is not None  # noqa: S101  # nothing revises a bar without ticks
    step, symbol, window, _ = one.recomputed
    before = one.published
    if not keeps_offsets:
        window.first_offset, window.last_offset = (0, 0) if before is None else (before.first_offset, before.last_offset)
    evidence = "correction", at, watermark, offset
    revised = Closed([symbol], [], step.end, step.size, step.per_second, *evidence, states=[pack_window(window)])
    revised.frame, revised.revision = step.frame, one.revision
    revised.corrected = max(0, window.ticks - (0 if before is None else before.ticks))
    return revised
