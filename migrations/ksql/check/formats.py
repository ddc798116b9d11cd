"""Checks that each column has a type which its format can hold."""

from __future__ import annotations

from migrations.ksql.declaration import Declaration
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column
from migrations.ksql.headers import Header, Headers
from migrations.ksql.types import BIGINT, BYTES, DOUBLE, INTEGER, STRING, ArrayType, MapType, SqlType, StructType

PRIMITIVE = {STRING, INTEGER, BIGINT, DOUBLE, BYTES}  # what the KAFKA format holds


def check_formats(declared: Declaration, key_format: str) -> None:
    """Raises `KsqlError` for a column that its format cannot hold."""
    values = [column for column in declared.by_name.values() if not column.key and not isinstance(column, Header | Headers)]
    value_format = declared.value_format.upper()
    for column in declared.keys:
        if isinstance(column.kind, MapType):
            raise KsqlError(f"{column.qualified_name} is {column.kind}, of which no key can be made; declare it as Column")
        _check(column, key_format, "key", "JSON_KEY")
    for column in values:
        _check(column, value_format, "value", "value='JSON'")
        if value_format == "JSON" and _maps_by_other_keys(column.kind):
            raise KsqlError(f"{column.qualified_name} is {column.kind}; JSON holds only maps with STRING keys: MAP(STRING, ..)")
    if value_format == "KAFKA" and len(values) > 1:
        raise KsqlError(f"{declared.name}: the KAFKA value format takes one column, not {len(values)}; say value='JSON'")
    if value_format == "NONE" and values:
        raise KsqlError(
            f"{declared.name}.{values[0].name} is a value, and value=NONE says that there is none; say value='JSON'"
        )


def _maps_by_other_keys(kind: SqlType) -> bool:
    if isinstance(kind, MapType):
        return kind.key != STRING or _maps_by_other_keys(kind.of)
    if isinstance(kind, StructType):
        return any(_maps_by_other_keys(of) for _, of in kind.fields)
    return isinstance(kind, ArrayType) and _maps_by_other_keys(kind.of)


def _check(column: Column, used: str, part: str, remedy: str) -> None:
    unfit = (used == "KAFKA" and column.kind not in PRIMITIVE) or (
        used == "DELIMITED" and isinstance(column.kind, StructType | ArrayType | MapType)
    )
    if unfit:
        raise KsqlError(f"{column.qualified_name} is {column.kind}, which the {part} format {used} does not take; say {remedy}")
