"""Serialization formats of keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from migrations.ksql.errors import KsqlError

FORMATS = frozenset({"JSON", "JSON_SR", "AVRO", "PROTOBUF", "PROTOBUF_NOSR", "DELIMITED", "KAFKA", "NONE"})


@dataclass(frozen=True)
class KeyFormat:
    """The key's format. KAFKA holds one column; DELIMITED and JSON hold several."""

    name: str
    delimiter: str = ""


def delimited(delimiter: str) -> KeyFormat:
    """Key columns as text, joined by `delimiter`.

    Raises `KsqlError` unless the delimiter is one character, TAB or SPACE.
    """
    if len(delimiter) != 1 and delimiter not in {"TAB", "SPACE"}:
        raise KsqlError(f"delimited({delimiter!r}): a delimiter is one character, TAB or SPACE")
    return KeyFormat("DELIMITED", delimiter)


KAFKA = KeyFormat("KAFKA")
JSON_KEY = KeyFormat("JSON")
NO_KEY = KeyFormat("NONE")
