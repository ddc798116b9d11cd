"""`app migrate adopt` of what was made by hand or by another tool: taken over if the server has the same, and only then."""

from __future__ import annotations

import pytest

from migrations.errors import RefusedError
from migrations.plan.compare import Action
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run import history, runner
from migrations.run.adopt import adopt
from tests.integration.migrations.plans import FIVE, NAMES, Where, five, query_ids
from tests.support.ksqldb import KsqlServer
from tests.support.worker import Worker

# the same statements as another hand writes them; the server gives the query an id of its own
BY_HAND = [
    """CREATE STREAM IF NOT EXISTS TICKS_S (Broker VARCHAR KEY, symbol STRING KEY, ts BIGINT, bid DECIMAL(18, 8)) WITH
    (VALUE_FORMAT='json', KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', KAFKA_TOPIC='ticks', PARTITIONS=2);""",
    *[f"{text};" for text in FIVE.split(";")[1:4]],
    "INSERT INTO all_s SELECT * FROM ticks_s EMIT CHANGES;",
]
TYPE = "CREATE TYPE point AS STRUCT<x INT, y VARCHAR>;"


def by_hand(server: KsqlServer) -> list[str]:
    """Create what the plan of five statements does, as another client. Returns what was executed."""
    for text in [*BY_HAND, "CREATE TYPE point AS STRUCT<`X` INTEGER, y STRING>;"]:
        server.ksql(text)
    return server.executed()


def test_what_was_made_by_hand_is_taken_over_and_nothing_is_sent(worker: Worker, server: KsqlServer) -> None:
    executed = by_hand(server)
    (worker.directory / "five.ksql").write_text(FIVE + TYPE)
    given = ("--plan", "five.ksql")
    adopted = worker.run("migrate", "adopt", *given)  # the first command: there is no history yet
    assert adopted.returncode == 0, adopted.stderr
    query = next(name for name in query_ids(server) if name.startswith("INSERTQUERY_"))
    names = [*NAMES[:4], query, "POINT"]
    ids = [*NAMES, "POINT"]
    told = [f"five/{one}: {name} of the server is the same" for one, name in zip(ids, names, strict=True)]
    assert adopted.stdout.splitlines() == told
    status = worker.run("migrate", "status", *given)
    assert status.returncode == 0, status.stdout
    assert server.executed() == executed


def plan_of(text: str) -> Plan:
    """A text as the plan of five statements."""
    return build_plan("five", [KsqlText(text, "five", "five")], {}, dict(five().properties))


OTHERWISE = [
    ("ts BIGINT, bid DECIMAL(18,8))\n  WITH (KAFKA_TOPIC='ticks'", "ts BIGINT)\n  WITH (KAFKA_TOPIC='ticks'", "TICKS_S"),
    ("KAFKA_TOPIC='ticks'", "KAFKA_TOPIC='tocks'", "TICKS_S"),
    ("GRACE PERIOD 5 SECONDS", "GRACE PERIOD 6 SECONDS", "N_W"),
    ("bid > 1", "bid > 2", "BIG"),
    ("x INT", "x BIGINT", "POINT"),
]


async def test_what_the_server_has_otherwise_is_refused_with_a_remedy(where: Where, server: KsqlServer) -> None:
    executed = by_hand(server)
    async with where() as target:
        for was, now, name in OTHERWISE:
            message = rf"five/{name}: the server's {name} is another than the plan's.*`app migrate diff` shows both"
            with pytest.raises(RefusedError, match=message):
                await adopt(target, plan_of((FIVE + TYPE).replace(was, now)))
        assert await history.read(target.cluster, target.topic, "an-app") == {}
    assert server.executed() == executed


def test_what_was_made_by_hand_is_not_made_again(worker: Worker, server: KsqlServer) -> None:
    executed = by_hand(server)
    refused = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert refused.returncode == 4
    assert "the server has TICKS_S already, and not by this plan: `migrate adopt` takes it over if it is" in refused.stderr
    query = next(name for name in query_ids(server) if name.startswith("INSERTQUERY_"))
    shown = worker.run("migrate", "diff", "--plan", "five.ksql").stdout
    assert f"query {query} does the same" in " ".join(shown.split())
    assert server.executed() == executed


async def test_what_is_missing_stays_pending_and_a_query_that_differs_is_another_one(where: Where, server: KsqlServer) -> None:
    by_hand(server)
    text = FIVE.replace("SELECT * FROM ticks_s EMIT CHANGES;\n", "SELECT * FROM ticks_s WHERE bid > 3 EMIT CHANGES;\n")
    more = plan_of(text + "CREATE STREAM more WITH (KAFKA_TOPIC='more') AS SELECT * FROM big EMIT CHANGES;")
    async with where() as target:
        assert len(await adopt(target, more)) == 4
        steps = {step.name: step.action for step in await runner.survey(target, more)}
        pending = {"ALL_WRITER": Action.apply, "MORE": Action.apply}
        assert steps == dict.fromkeys(NAMES[:4], Action.done) | pending
        await runner.apply(target, more)
        assert {step.action for step in await runner.survey(target, more)} == {Action.done}
        assert await adopt(target, more) == []
