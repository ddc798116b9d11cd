"""Columns that hold the headers of a record."""

from __future__ import annotations

from migrations.ksql import types
from migrations.ksql.expressions import Column


class Headers(Column):
    """All headers of a record."""

    def __init__(self, name: str = "") -> None:
        super().__init__(types.ARRAY(types.STRUCT(key=types.STRING, value=types.BYTES)), name)


class Header(Column):
    """The header of a record with this key: the last one, if there are several."""

    def __init__(self, header: str, name: str = "") -> None:
        super().__init__(types.BYTES, name)
        self.header = header
