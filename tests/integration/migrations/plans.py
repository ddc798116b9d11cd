"""Plans, and runs that end at a given point."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from migrations.plan.entry import Entry
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run.history import Writer
from migrations.run.target import Target
from migrations.server.client import KsqlClient
from tests.support.ksqldb import KsqlServer

FIVE = """
CREATE STREAM ticks_s (broker STRING KEY, symbol STRING KEY, ts BIGINT, bid DECIMAL(18,8))
  WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON');
CREATE TABLE n_w WITH (KAFKA_TOPIC='n_w', KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS
  SELECT broker, symbol, COUNT(*) AS n FROM ticks_s WINDOW TUMBLING (SIZE 1 MINUTE, RETENTION 7 DAYS, GRACE PERIOD 5 SECONDS)
  GROUP BY broker, symbol EMIT CHANGES;
CREATE STREAM big WITH (KAFKA_TOPIC='big') AS SELECT * FROM ticks_s WHERE bid > 1 EMIT CHANGES;
CREATE STREAM all_s (broker STRING KEY, symbol STRING KEY, ts BIGINT, bid DECIMAL(18,8))
  WITH (KAFKA_TOPIC='all_s', PARTITIONS=2, KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON');
INSERT INTO all_s WITH (QUERY_ID='ALL_WRITER') SELECT * FROM ticks_s EMIT CHANGES;
"""


NAMES = ["TICKS_S", "N_W", "BIG", "ALL_S", "ALL_WRITER"]


def five(text: str = FIVE) -> Plan:
    """The plan of five statements, or another text as that plan."""
    sources = [KsqlText(text, "five", "five")]
    return build_plan("five", sources, {}, {"ksql.streams.auto.offset.reset": "earliest"})


Where = Callable[[], AbstractAsyncContextManager[Target]]


def created(server: KsqlServer) -> list[str]:
    """The names that the executed statements created, in order."""
    found = []
    for text in server.executed():
        named = re.search(r"QUERY_ID='(\w+)'", text) or re.match(r"\s*CREATE (?:OR REPLACE )?(?:STREAM|TABLE) (\w+)", text)
        assert named, text
        found.append(named[1].upper())
    return found


def created_without_drops(server: KsqlServer) -> list[str]:
    """As `created`, if something was dropped in between."""
    return [
        text.split()[2].upper() if text.startswith("CREATE") else "ALL_WRITER"
        for text in server.executed()
        if "DROP" not in text
    ]


CHANGED = FIVE.replace("GRACE PERIOD 5 SECONDS", "GRACE PERIOD 9 SECONDS")


def requests_since(server: KsqlServer, sent: str) -> int:
    """The number of requests since a statement was sent; 0 if it was not sent yet."""
    requests = server.requests()
    return next(
        (len(requests) - n for n, text in enumerate(requests) if f'"ksql":"{sent}' in text and "EXPLAIN" not in text), 0
    )


SWAP = CHANGED + "CREATE STREAM counts (n BIGINT) WITH (KAFKA_TOPIC='counts', PARTITIONS=2, VALUE_FORMAT='JSON');"


SWAP += "CREATE STREAM n_raw (n BIGINT) WITH (KAFKA_TOPIC='n_w', KEY_FORMAT='NONE', VALUE_FORMAT='JSON');"


SWAP += "INSERT INTO counts WITH (QUERY_ID='N_WRITER') SELECT * FROM n_raw EMIT CHANGES;"


def interrupt_swap(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Interrupt the next swap after the new half is built."""
    execute = KsqlClient.execute

    async def cut_execute(self: KsqlClient, text: str, *more: object) -> object:
        if step == "PAUSE" and text.startswith("PAUSE"):
            raise InterruptedRunError(step)
        return await execute(self, text, *more)  # type: ignore[arg-type]

    async def cut_write(self: Writer, app_id: str, entries: list[Entry], gone: list[str] | None = None) -> None:
        if step == "the history" and gone:
            raise InterruptedRunError(step)
        await write(self, app_id, entries, gone or [])

    write = Writer.write_all
    monkeypatch.setattr(KsqlClient, "execute", cut_execute)
    monkeypatch.setattr(Writer, "write_all", cut_write)


class InterruptedRunError(Exception):
    """Stands for the end of the process. Unlike a real end, it releases the lock, so that tests need not wait for it."""


POINTS = ["before it is recorded as being sent", "before it is sent", "after it was sent", "before it is recorded as applied"]


def interrupt(monkeypatch: pytest.MonkeyPatch, point: str, statement: str, part: str = "") -> None:
    """Interrupt the next run at a point of a statement. With `part`, only one whose text holds it."""
    write_all, execute = Writer.write_all, KsqlClient.execute

    async def cut_write(self: Writer, app_id: str, entries: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        for entry in entries:
            at = POINTS[0] if entry.status == "sending" else POINTS[3]
            if entry.name == statement and at == point and part in entry.text:
                raise InterruptedRunError(point)
        await write_all(self, app_id, entries, removed)

    async def cut_execute(self: KsqlClient, text: str, *more: object) -> object:
        named = statement.lower() in text.split("(", maxsplit=1)[0].lower() or f"'{statement}'" in text
        named = named and part in text
        if named and point == POINTS[1]:
            raise InterruptedRunError(point)
        found = await execute(self, text, *more)  # type: ignore[arg-type]
        if named and point == POINTS[2]:
            raise InterruptedRunError(point)
        return found

    monkeypatch.setattr(Writer, "write_all", cut_write)
    monkeypatch.setattr(KsqlClient, "execute", cut_execute)


def query_ids(server: KsqlServer) -> list[str]:
    """The ids of all persistent queries."""
    return [str(query["id"]) for query in server.ksql("SHOW QUERIES;")[0]["queries"]]
