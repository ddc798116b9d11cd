"""Statements as text: deterministic, and formatted for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from migrations.ksql.cases import Case
from migrations.ksql.declaration import Declaration
from migrations.ksql.expressions import Alias, Column, Expression, NamedSource, literal
from migrations.ksql.headers import Header, Headers
from migrations.ksql.queries import Select

WIDTH = 100  # columns of a line


def create(declared: Declaration) -> str:
    """CREATE STREAM or CREATE TABLE, with AS SELECT if it has a query."""
    what = "TABLE" if declared.table else "STREAM"
    options = _options(declared)
    if declared.query is not None:
        given = f" WITH (\n{_filled(options)}\n)" if options else ""
        return f"CREATE {what} {declared.name}{given} AS\n{query(declared.query)};"
    key = "PRIMARY KEY" if declared.table else "KEY"
    columns = [f"{column.name} {column.kind}{_role(column, key)}" for column in declared.by_name.values()]
    what = f"SOURCE {what}" if declared.read_only else what
    listed = f" (\n{_filled(columns)}\n)" if columns else ""
    return f"CREATE {what} {declared.name}{listed} WITH (\n{_filled(options)}\n);"


def _role(column: Column, key: str) -> str:
    if isinstance(column, Headers):
        return " HEADERS"
    if isinstance(column, Header):
        return f" HEADER({literal(column.header)})"
    return f" {key}" if column.key else ""


def insert(into: NamedSource, select: Select, query_id: str) -> str:
    """INSERT INTO .. SELECT."""
    return f"INSERT INTO {into.ksql_name} WITH (QUERY_ID='{query_id}')\n{query(select)};"


def query(select: Select) -> str:
    """A SELECT, without a semicolon."""
    qualified = bool(select.joins)

    def ksql(*parts: Expression) -> str:
        return ", ".join(part.text(qualified=qualified) for part in parts)

    lines = ["SELECT", _filled(_item(item, qualified=qualified) for item in select.items)]
    if select.source is not None:
        lines.append(f"FROM {select.source.ksql_name}")
    lines.extend(f"{join.how} {join.source.ksql_name}{join.window} ON {ksql(join.on)}" for join in select.joins)
    if select.over is not None:
        lines.append(str(select.over))
    if select.condition is not None:
        lines.append(f"WHERE {ksql(select.condition)}")
    if select.groups:
        lines.append(f"GROUP BY {ksql(*select.groups)}")
    if select.partitions:
        lines.append(f"PARTITION BY {ksql(*select.partitions)}")
    if select.filter is not None:
        lines.append(f"HAVING {ksql(select.filter)}")
    lines.append(f"EMIT {select.emits}")
    return "\n".join(lines)


def _item(item: Expression, *, qualified: bool) -> str:
    """A selected expression; a long CASE takes several lines."""
    text = item.text(qualified=qualified)
    case = item.of if isinstance(item, Alias) else item
    if len(text) <= WIDTH or not isinstance(case, Case):
        return text
    name = f" AS {item.name}" if isinstance(item, Alias) else ""
    return "\n".join(case.lines(qualified=qualified)) + name


def _options(declared: Declaration) -> list[str]:
    """The options of WITH in a fixed order, without those that are not set."""
    options: list[tuple[str, str | int | None]] = [
        ("KAFKA_TOPIC", declared.topic),
        ("PARTITIONS", declared.partitions),
        ("KEY_FORMAT", declared.key_format.name if declared.key_format is not None else None),
        ("KEY_DELIMITER", declared.key_format.delimiter if declared.key_format is not None else None),
        ("VALUE_FORMAT", declared.value_format),
        ("TIMESTAMP", declared.timestamp),
        ("WINDOW_TYPE", declared.window[0] if declared.window else None),
        ("WINDOW_SIZE", declared.window[1] if declared.window else None),
        *declared.options.items(),
    ]
    return [f"{name}={_value(name, value)}" for name, value in options if value not in (None, "")]


def _value(name: str, value: str | int | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    bare = isinstance(value, int) or (name == "PARTITIONS" and str(value).startswith("${"))
    return str(value if bare else literal(value))


def _filled(parts: Iterable[str]) -> str:
    """Comma-separated parts, filled into lines; no part is broken."""
    lines: list[str] = []
    line = ""
    for part in [f"{part}," for part in parts]:
        if line and ("\n" in line + part or len(line) + 1 + len(part) > WIDTH):
            lines.append(line)
            line = part
        else:
            line = f"{line} {part}" if line else part
    return textwrap.indent("\n".join([*lines, line])[:-1], "  ")
