"""`app inspect`: look at some records of a topic, and say which settings fit it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from faust.cli.base import argument, option
from rich.table import Table
from rich.text import Text

from app.commands import base
from app.errors import InputError
from app.operations.inspection.inspect import Inspection, written
from app.operations.inspection.look import look_at
from app.operations.inspection.sample import take
from app.operations.inspection.times import Disorder
from app.operations.inspection.values import kind_of
from app.settings import PREFIX, Settings
from app.settings.durations import duration_text
from tables.ticks import shown

if TYPE_CHECKING:
    import faust

RECORDS = 10_000
FIELDS = 12  # rows of the table of fields; --json has all


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("topic", required=False, default=""),
        option("--records", type=int, default=RECORDS, help="How many records to look at."),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def inspect(self: base.BarwheelCommand, *, topic: str, records: int, as_json: bool) -> int:  # noqa: ARG001 - Faust passes itself
        """Say what a topic of ticks looks like, and which settings fit.

        TOPIC is any topic of the broker; without it, the setting ticks_topic. The newest records are read: their format,
        fields, key, times and order, how they were placed into partitions. Nothing is written.

        \b
        Example:
          app inspect market.trades
          app inspect market.trades --records 100000 --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), topic, records, as_json=as_json)


async def run(settings: Settings, topic: str, records: int, *, as_json: bool) -> int:
    """Look and report. Exit code 1 if something must be done that no printed setting does."""
    if not topic and settings.sources.one is None:
        raise InputError(f"ticks_topic={settings.ticks_topic}: inspect looks at one topic, app inspect TOPIC")
    cluster = await base.reach(settings)
    found = await look_at(await take(cluster, topic or settings.ticks_topic, max(1, records)), settings)
    if as_json:
        base.out_json(as_object(found))
    else:
        _show(found, str(settings.scope))
    return 1 if found.problems else 0


def as_object(found: Inspection) -> dict[str, Any]:
    """Everything that was found, for JSON. Durations are ms."""
    values, places = found.values, found.places
    return {
        "topic": found.topic,
        "partitions": found.partitions,
        "records": found.total,
        "looked_at": found.looked_at,
        "timestamps": _timestamps(found),
        "formats": {str(name): count for name, count in values.formats.most_common()},
        "schema_ids": dict(values.schema_ids.most_common()),
        "schemas": dict(found.schemas),
        "fields": {
            written(path): {"count": seen.count, "kinds": dict(seen.kinds), "examples": [str(one) for one in seen.examples]}
            for path, seen in values.fields.items()
        },
        "parts": {part: written(path) for part, path in found.fields.items()},
        "key": found.key.text,
        "time_unit": found.unit,
        "delay_ms": found.delay_ms,
        "disorder": {scope: one._asdict() for scope, one in found.disorder.items()},
        "partitioner": places.partitioner,
        "symbols": places.names,
        "symbols_in_several_partitions": places.several,
        "settings": {f"{PREFIX}{name.upper()}": value for name, value in found.settings.items()},
        "outcome": None if found.verdict is None else asdict(found.verdict),
        "problems": found.problems,
    }


def _timestamps(found: Inspection) -> str:
    return " and ".join(name for name, there in (("LogAppendTime", True), ("CreateTime", False)) if there in found.append_times)


def _show(found: Inspection, scope: str) -> None:
    console = base.console()
    console.print(
        Text(found.topic, "bold"),
        f": {found.partitions} partition{'s' if found.partitions > 1 else ''}, "
        + (f"{found.total:,} records, {_timestamps(found)}; {found.looked_at:,} were read" if found.looked_at else "empty"),
        sep="",
    )
    if not found.looked_at:
        return
    console.print(_summary(found, scope))
    if found.values.fields:
        console.print(_fields(found))
    if found.verdict is not None:
        console.print(found.verdict.text, soft_wrap=True)
        if found.verdict.why:
            console.print(found.verdict.why, soft_wrap=True)
    for problem in found.problems:
        console.print(Text("!", "yellow"), problem, soft_wrap=True)
    if found.settings:
        console.print(Text("\nSettings that fit", "bold"), "(as environment variables, or lines of .env)")
        for name, value in found.settings.items():
            base.out(f"{PREFIX}{name.upper()}={_quoted(value)}")


def _summary(found: Inspection, scope: str) -> Table:
    made = Table.grid(padding=(0, 2))
    places = found.places
    formats = ", ".join(f"{name} ({count:,})" for name, count in found.values.formats.most_common())
    made.add_row("values", formats)
    for number, name in found.schemas.items():
        made.add_row("schema", f"{number}: {name}")
    made.add_row("key", found.key.text)
    several = f"; {places.several:,} in several partitions, such as {places.in_two[0]}" if places.in_two else ""
    made.add_row("symbols", f"{places.names:,}{several}")
    made.add_row("placed by", places.partitioner)
    if "ts" in found.fields:
        unit = f"numbers in {found.unit}" if found.unit else "text" if found.zoned else "text without an offset"
        made.add_row("event time", unit)
    if found.delay_ms is not None:
        made.add_row("arrival", f"{_ms(found.delay_ms)} after the event (median)")
    for name, one in found.disorder.items():
        mark = "  (the setting scope)" if name == scope else ""
        made.add_row(f"by {name}", f"{_disorder(one)}{mark}")
    return made


def _disorder(one: Disorder) -> str:
    if not one.share:
        order = "in order"
    else:
        order = f"{one.share:.1%} out of order by {_ms(one.p50)} (median), {_ms(one.p99)} (99%), {_ms(one.worst)} (most)"
    beyond = f", {one.beyond:,} are further behind" if one.beyond else ""
    return f"{order}; grace {duration_text(one.grace)}{beyond}"


def _ms(ms: int) -> str:
    return f"{ms:,} ms" if abs(ms) < 10_000 else f"{ms / 1_000:,.0f} s"  # noqa: PLR2004 - five digits are read as seconds


def _fields(found: Inspection) -> Table:
    parts = {path: part for part, path in found.fields.items()}
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("field", "holds", "in", "example", "part of a tick"):
        made.add_column(name, overflow="fold")
    ranked = sorted(found.values.fields.items(), key=lambda item: (item[0] not in parts, -item[1].count))
    count = len(found.values.rows)
    for path, seen in ranked[:FIELDS]:
        example = _example(seen.examples[0]) if seen.examples else "-"
        made.add_row(written(path), seen.kind, f"{seen.count / count:.0%}", example, Text(parts.get(path, ""), "green"))
    if len(ranked) > FIELDS:
        made.add_row(f"and {len(ranked) - FIELDS} more", "", "", "", "")
    return made


def _example(value: object) -> str:
    """A number as it is, everything else in quotes."""
    return str(value) if kind_of(value) == "number" else shown(value)


def _quoted(value: str) -> str:
    """A value as a shell and a .env file both read it."""
    return (
        value if value.replace("_", "").replace("-", "").replace(".", "").isalnum() else '"' + value.replace('"', '\\"') + '"'
    )
