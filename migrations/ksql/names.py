"""Unquoted identifiers, as the server's grammar accepts them."""

from __future__ import annotations

import re

from migrations.ksql.errors import KsqlError

# The keywords of ksqlDB's grammar (SqlBase.g4, the same from 7.5.0 to 8.3.1) without those of its rule `nonReserved`.
RESERVED = frozenset(
    """
    ADVANCE ALL AND AS AT BEGINNING BETWEEN BY CASE CAST CATALOG CONNECTOR CONNECTORS CREATE DAYS DECIMAL DELETE DESCRIBE
    DISTINCT DROP ELSE END EXISTS EXPORT EXTENDED FALSE FROM FULL GROUP HAVING HOPPING HOURS IN INNER INSERT INTO IS JOIN LEFT
    LIKE LIMIT LIST LOAD MATERIALIZED MILLISECOND MILLISECONDS MINUTES MONTHS NAMESPACE NOT NULL ON OR OUTER PAUSE PRINT
    PROPERTIES QUERIES QUERY RENAME RESUME RETENTION RIGHT RUN SAMPLE SCRIPT SECONDS SELECT SIZE STREAM STREAMS TABLE TERMINATE
    THEN TO TOPIC TOPICS TRUE TUMBLING UNSET VALUES VIEW WHEN WHERE WINDOW WITH WITHIN YEARS
    """.split()  # noqa: SIM905  # a list of strings would take ninety lines
)
_QUOTED = re.compile(r"`(?:[^`]|``)+`")
PSEUDO_COLUMNS = frozenset({"ROWTIME", "ROWPARTITION", "ROWOFFSET", "WINDOWSTART", "WINDOWEND"})  # every source has these


def check_name(name: str, where: str) -> None:
    """Check an identifier, which may contain `${variables}`; `where` names the declaration in the message.

    A name in backquotes may be any. Raises `KsqlError` for reserved words and for characters that need quotes.
    """
    if _QUOTED.fullmatch(name):
        return
    plain = name.replace("${", "").replace("}", "")
    if plain.upper() in RESERVED:
        raise KsqlError(f"{where}: {name} is a reserved word; take another, for example {name}_, or put it in backquotes")
    if not plain.replace("_", "").isalnum() or plain[:1].isdigit() or not plain.isascii():
        raise KsqlError(f"{where}: {name}: a name is made of letters, digits and _, and begins with no digit")


def as_on_server(name: str) -> str:
    """The name as the server compares it: in upper case, unless it is in backquotes."""
    return name[1:-1].replace("``", "`") if _QUOTED.fullmatch(name) else name.upper()


def check_column_name(name: str, where: str) -> None:
    """As `check_name`; also raises `KsqlError` for the names of columns that every source has."""
    if name.strip("`").upper() in PSEUDO_COLUMNS:
        raise KsqlError(f"{where}: {name} is a reserved word for columns; take another, for example {name}_")
    check_name(name, where)
