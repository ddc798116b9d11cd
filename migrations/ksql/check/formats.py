"""What each format can hold: a server refuses the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrations.ksql.errors import KsqlError
from migrations.ksql.types import BIGINT, DOUBLE, INTEGER, STRING, ArrayType, MapType, StructType

if TYPE_CHECKING:
    from migrations.ksql.expressions import Column
    from migrations.ksql.sources import SourceType

FORMATS = frozenset({"JSON", "JSON_SR", "AVRO", "PROTOBUF", "PROTOBUF_NOSR", "DELIMITED", "KAFKA", "NONE"})
PRIMITIVE = {STRING, INTEGER, BIGINT, DOUBLE}


def check_formats(source: SourceType, key_format: str) -> None:
    """Raises `KsqlError` for a column that its format has no form for."""
    values = [column for column in source.columns().values() if not column.key]
    for column in [column for column in source.columns().values() if column.key]:
        if isinstance(column.kind, MapType):
            raise KsqlError(f"{column.where} is {column.kind}, of which no key can be made; declare it as Column")
        _check(column, key_format, "key", "JSON_KEY")
    for column in values:
        _check(column, source.value.upper(), "value", "value='JSON'")
    name = source.ksql_name
    if source.value.upper() == "KAFKA" and len(values) > 1:
        raise KsqlError(f"{name}: the KAFKA value format takes one column, not {len(values)}; say value='JSON'")
    if source.value.upper() == "NONE" and values:
        raise KsqlError(f"{name}.{values[0].name} is a value, and value=NONE says that there is none; say value='JSON'")


def _check(column: Column, used: str, part: str, remedy: str) -> None:
    unfit = (used == "KAFKA" and column.kind not in PRIMITIVE) or (
        used == "DELIMITED" and isinstance(column.kind, StructType | ArrayType | MapType)
    )
    if unfit:
        raise KsqlError(f"{column.where} is {column.kind}, which the {part} format {used} does not take; say {remedy}")
