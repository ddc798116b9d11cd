"""The history of migrations as a table of ksqlDB, for pull queries: `app migrate apply --plan history`."""

from __future__ import annotations

from migrations.ksql.expressions import Column, Key
from migrations.ksql.sources import KAFKA, Table
from migrations.ksql.types import BIGINT, STRING


class Migrations(Table, name="${bars_instance}migrations", topic="${history}", key=KAFKA, value="JSON", source=True):
    """What was applied; `entry` is `<app_id>|<id>`. ksqlDB keeps a SOURCE table up to date by itself."""

    entry = Key(STRING)
    id = Column(STRING)
    name = Column(STRING)
    status = Column(STRING)
    hash = Column(STRING)
    text = Column(STRING)
    query_id = Column(STRING)
    plan = Column(STRING)
    app_id = Column(STRING)
    app_version = Column(STRING)
    user = Column(STRING)
    applied_at = Column(BIGINT)
    duration_ms = Column(BIGINT)


def statements() -> list[object]:
    """The one statement."""
    return [Migrations]
