"""Statements as text: always the same for the same objects, and for people to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from migrations.ksql.expressions import Alias, Case, Expression, literal
from migrations.ksql.queries import Select

if TYPE_CHECKING:
    from migrations.ksql.sources import SourceType

WIDTH = 100


def create(source: SourceType) -> str:
    """CREATE STREAM or TABLE, with its query where it has one."""
    what = "TABLE" if source.table else "STREAM"
    options = _options(source)
    if source.query is not None:
        given = f" WITH (\n{_filled(options)}\n)" if options else ""
        return f"CREATE {what} {source.ksql_name}{given} AS\n{query(source.query)};"
    key = "PRIMARY KEY" if source.table else "KEY"
    columns = [f"{column.name} {column.kind}{f' {key}' if column.key else ''}" for column in source.columns().values()]
    return f"CREATE {what} {source.ksql_name} (\n{_filled(columns)}\n) WITH (\n{_filled(options)}\n);"


def insert(into: SourceType, select: Select, query_id: str) -> str:
    """INSERT INTO."""
    return f"INSERT INTO {into.ksql_name} WITH (QUERY_ID='{query_id}')\n{query(select)};"


def query(select: Select) -> str:
    """A SELECT, without its semicolon."""
    several = bool(select.joins)

    def said(*parts: Expression) -> str:
        return ", ".join(part.text(qualified=several) for part in parts)

    lines = ["SELECT", _filled(_item(item, qualified=several) for item in select.items)]
    if select.source is not None:
        lines.append(f"FROM {select.source.ksql_name}")
    lines.extend(f"{join.how} {join.source.ksql_name}{join.window} ON {said(join.on)}" for join in select.joins)
    if select.over is not None:
        lines.append(str(select.over))
    if select.condition is not None:
        lines.append(f"WHERE {said(select.condition)}")
    if select.groups:
        lines.append(f"GROUP BY {said(*select.groups)}")
    if select.partitions:
        lines.append(f"PARTITION BY {said(*select.partitions)}")
    if select.filter is not None:
        lines.append(f"HAVING {said(select.filter)}")
    lines.append(f"EMIT {select.emits}")
    return "\n".join(lines)


def _item(item: Expression, *, qualified: bool) -> str:
    """What is selected; a long CASE on several lines."""
    text = item.text(qualified=qualified)
    case = item.of if isinstance(item, Alias) else item
    if len(text) <= WIDTH or not isinstance(case, Case):
        return text
    name = f" AS {item.name}" if isinstance(item, Alias) else ""
    return "\n".join(case.lines(qualified=qualified)) + name


def _options(source: SourceType) -> list[str]:
    """WITH, in one order; what a CREATE AS inherits is left out."""
    found: list[tuple[str, str | int | None]] = [
        ("KAFKA_TOPIC", source.topic),
        ("PARTITIONS", source.partitions),
        ("KEY_FORMAT", source.key_format.name if source.key_format is not None else None),
        ("KEY_DELIMITER", source.key_format.delimiter if source.key_format is not None else None),
        ("VALUE_FORMAT", source.value),
        ("TIMESTAMP", source.timestamp),
        ("WINDOW_TYPE", source.window[0] if source.window else None),
        ("WINDOW_SIZE", source.window[1] if source.window else None),
        *source.options.items(),
    ]
    return [f"{name}={_value(name, value)}" for name, value in found if value not in (None, "")]


def _value(name: str, value: str | int | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    bare = isinstance(value, int) or (name == "PARTITIONS" and str(value).startswith("${"))
    return str(value if bare else literal(value))


def _filled(parts: Iterable[str]) -> str:
    """Comma-separated, several on a line, none of them broken."""
    lines: list[str] = []
    line = ""
    for part in [f"{part}," for part in parts]:
        if line and ("\n" in line + part or len(line) + 1 + len(part) > WIDTH):
            lines.append(line)
            line = part
        else:
            line = f"{line} {part}" if line else part
    return textwrap.indent("\n".join([*lines, line])[:-1], "  ")
