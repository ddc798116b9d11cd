"""Unquoted identifiers, as the server's grammar accepts them."""

from __future__ import annotations

from migrations.ksql.errors import KsqlError

RESERVED = frozenset(
    """
    ALL AND AS BEGIN BETWEEN BY CASE CAST CHANGES CREATE DELETE DESCRIBE DISTINCT DROP ELSE END ESCAPE EXISTS EXPLAIN EXTENDED
    FALSE FROM FULL FUNCTION GRACE GROUP HAVING IF IN INNER INSERT INTO IS JOIN LEFT LIKE LIMIT LIST NAMESPACE NOT NULL ON OR
    OUTER PARTITION PERIOD PRINT PROPERTIES QUERIES REPLACE RETENTION RIGHT ROWOFFSET ROWPARTITION ROWTIME RUN SCRIPT SELECT
    SET SHOW SIZE STREAM STREAMS TABLE TABLES TERMINATE THEN TRUE UNSET VALUES WHEN WHERE WINDOW WINDOWEND WINDOWSTART WITH
    WITHIN
    """.split()  # noqa: SIM905  # a list of strings would take sixty lines
)


def check_name(name: str, where: str) -> None:
    """Check an identifier, which may contain `${variables}`; `where` names the declaration in the message.

    Raises `KsqlError` for reserved words and for characters that need quotes.
    """
    plain = name.replace("${", "").replace("}", "")
    if plain.upper() in RESERVED:
        raise KsqlError(f"{where}: {name} is a reserved word; take another, for example {name}_")
    if not plain.replace("_", "").isalnum() or plain[:1].isdigit() or not plain.isascii():
        raise KsqlError(f"{where}: {name}: a name is made of letters, digits and _, and begins with no digit")
