"""The arguments and options of commands that read recorded ticks: which files, and how their rows are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from faust.cli.base import argument, option

from app.commands import base
from app.errors import InputError
from app.settings import Settings
from app.settings.durations import duration_ms
from app.tickfiles import options as file_options
from app.tickfiles.rows import Reading

FILE_OPTIONS = (
    argument("files", nargs=-1, type=Path),
    option("--layout", help="The layout of a vendor's files, binance-aggtrades; see --list-layouts."),
    option("--broker-name", help="Broker of rows without a broker column."),
    option("--symbol", help="Symbol of rows without a symbol column."),
    option("--symbol-from-name", help="Where the symbol is in the names of the files, '{symbol}-ticks-*.csv'."),
    option("--columns", help="Fields in the order of the columns, - skips one; or ts=NAME,bid=NAME.  [ts,bid,ask]"),
    option("--header", is_flag=True, default=False, show_default=False, help="Skip the first line of a CSV."),
    option("--delimiter", help="What is between two columns of a CSV, or tab.  [default: ,]"),
    option("--decimal", type=click.Choice([".", ","]), help="The decimal point.  [default: .]"),
    option("--scale", help="A number that prices are multiplied by, 0.0001."),
    option("--unit", type=click.Choice(file_options.UNITS),
           help="Unit of epoch times in the file; auto: by their digits.  [default: the setting time_unit]"),
    option("--time-format", multiple=True, help="Format of times as text, %Y.%m.%d %H:%M:%S.%f; may be repeated."),
    option("--zone", help="Zone of times without an offset: UTC, +02:00, America/New_York."),
    option("--origin", help="Time that the ts column counts from, 2014-05-05T00:00:00-05:00.  [default: epoch]"),
    option("--reorder", default="0s", help="Put rows in order that are out of order by up to this time, 500ms or 1d."),
)  # fmt: skip


def reading_of(settings: Settings, options: dict[str, Any]) -> tuple[Reading, int]:
    """How rows are read, and by how many ms they may be out of order; raises `InputError`."""
    origin = options["origin"]
    reading = file_options.reading_of(settings, options, base.time_ms(origin, "--origin") if origin else 0)
    try:
        return reading, duration_ms(options["reorder"])
    except ValueError as error:
        raise InputError(f"--reorder {options['reorder']}: {error}") from None
