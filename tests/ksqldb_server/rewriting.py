"""Texts of sources as the real server writes them anew: no test may rely on getting the original text."""

from __future__ import annotations

from collections.abc import Sequence

from migrations.ksql.parse.lexer import GAPS, lex
from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.statement import describe
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.words import RESERVED

RETENTION_MS = 604_800_000


def rewritten(text: str) -> str:
    """A statement that creates no source, in other words."""
    return normal_form(text).replace(" , ", ", ").replace("( ", "(").replace(" )", ")")


def source_text(parsed: Parsed, kind: str, partitions: int, columns: Sequence[Sequence[str]] = ()) -> str:
    """The text of a CREATE STREAM or CREATE TABLE: options in the order of their names, with those that the server adds.

    `columns` are those that it declares, with registered types resolved. Of a query, the text is only that of `rewritten`: the
    real server qualifies its columns.
    """
    tree, info = parsed.tree, describe(parsed.text)
    options = dict(tree.options)
    options["CLEANUP_POLICY"] = "delete" if kind == "STREAM" else "compact,delete" if info.windowed else "compact"
    if tree.query is not None:
        options.setdefault("KAFKA_TOPIC", info.name)
        options = {"PARTITIONS": str(partitions), "REPLICAS": "1", "RETENTION_MS": str(RETENTION_MS)} | options
    elif "FORMAT" not in options:
        options.setdefault("KEY_FORMAT", "KAFKA")
    clause = f"WITH ({', '.join(f'{name}={_literal(value)}' for name, value in sorted(options.items()))})"
    if tree.query is not None:
        return f"{info.words} {_name(info.name)} {clause} AS {rewritten(_after_as(parsed.text))};"
    roles = [one.role for one in tree.elements]
    told = [" ".join(filter(None, (_name(one[0]), one[1], role))) for one, role in zip(columns, roles, strict=True)]
    declared = f" ({', '.join(told)})" if told else ""
    return f"{info.words} {_name(info.name)}{declared} {clause};"


def _after_as(text: str) -> str:
    """The query of a CREATE .. AS SELECT."""
    told = [token for token in lex(text) if token.kind not in GAPS]
    at = next(n for n, token in enumerate(told) if token.text.upper() == "AS" and told[n + 1].text.upper() == "SELECT")
    return text[told[at + 1].start :]


def _name(name: str) -> str:
    plain = name == name.upper() and name.replace("_", "a").isalnum() and name not in RESERVED and not name[0].isdigit()
    return name if plain else f"`{name}`"


def _literal(value: str) -> str:
    bare = value.lstrip("-").isdigit() or value.upper() in {"TRUE", "FALSE", "NULL"}
    return value if bare else "'" + value.replace("'", "''") + "'"
