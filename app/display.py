"""Tables of bars and times in UTC, as the commands and the demo print them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.errors import BarwheelError
from app.plain import plain
from tables.bars import Bar

PIPE_WIDTH = 160


class PlainConsole(Console):
    """A console that shows text and obeys none of it: rich makes every string, also in a table, with `render_str`."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text, without markup and with its control characters escaped."""
        return super().render_str(plain(text), **options | {"markup": False, "emoji": False})

    def on_broken_pipe(self) -> None:
        """Let the command end as after any write to a reader that has gone; rich would end it with code 1."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """A console for tables. A pipe has no width, so it gets one that cuts no column.

    It prints text as it is: names of symbols hold brackets and colons, which rich would take for markup and emoji. Raises
    `BarwheelError` if standard output is closed.
    """
    if not stderr and sys.stdout is None:  # rich would print into nothing
        raise BarwheelError("cannot write the result: standard output is closed")
    made = PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr)
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def utc(ms: int) -> str:
    """Epoch ms as `2014-05-05 00:00:00` in UTC, with milliseconds if there are any."""
    text = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{ms % 1000:03d}" if ms % 1000 else text


def bar_cells(bar: Bar, note: str = "") -> list[str]:
    """One row of `bar_table`, with a note at its end."""
    prices = [f"{p:f}" for p in (bar.open, bar.high, bar.low, bar.close)]
    marks = [*(["partial"] if bar.partial else []), *([f"revision {bar.revision}"] if bar.revision else [])]
    notes = [bar.close_reason, *marks, *([note] if note else [])]
    return [utc(bar.bucket_start), bar.broker, bar.symbol, *prices, str(bar.ticks), ", ".join(notes)]


def bar_table(bars: Iterable[Bar], title: str, notes: Iterable[str] = repeat(""), *, dated: bool = True) -> Table:
    """The bars as a table, each with its note. `dated`: with the day of its start."""
    made = Table(title=title, title_justify="left")
    for name in ("start (UTC)", "broker", "symbol"):
        made.add_column(name, no_wrap=True)
    for name in ("open", "high", "low", "close", "ticks"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("closed by")
    for bar, note in zip(bars, notes, strict=False):  # without notes there is no end of them
        start, *cells = bar_cells(bar, note)
        made.add_row(start if dated else start.split(" ")[1], *cells)
    return made


def width_of(made: Table, target: Console) -> int:
    """How wide a table is if nothing in it wraps."""
    return made.__rich_measure__(target, target.options.update(width=PIPE_WIDTH)).maximum


def fit(made: Table, target: Console) -> Table:
    """Fit a table to a console: if it is too narrow the table loses its frame and wraps, but no digit is cut."""
    if width_of(made, target) > target.width:
        made.box, made.padding = None, (0, 1, 0, 0)
        target.width = max(target.width, width_of(made, target))
    return made
