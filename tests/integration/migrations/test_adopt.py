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


MADE_AGAIN = """
CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, VALUE_FORMAT='JSON');
DROP STREAM s;
CREATE STREAM s (a INT, b INT) WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, VALUE_FORMAT='JSON');
CREATE OR REPLACE STREAM s (a INT, b INT, c INT) WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, VALUE_FORMAT='JSON');
"""


@pytest.mark.parametrize(
    ("columns", "taken", "left"),
    [
        ("(a INT)", ["p/S"], {"p/DROP_S", "p/S#2", "p/S#3"}),
        ("(a INT, b INT)", ["p/DROP_S", "p/S#2"], {"p/S#3"}),
        ("(a INT, b INT, c INT)", ["p/DROP_S", "p/S#2", "p/S#3"], set()),
    ],
)
async def test_of_what_a_plan_makes_drops_and_makes_again_the_one_on_the_server_is_taken_over(
    where: Where, server: KsqlServer, columns: str, taken: list[str], left: set[str]
) -> None:
    server.ksql(f"CREATE STREAM s {columns} WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, VALUE_FORMAT='JSON');")
    executed = server.executed()
    plan = build_plan("p", [KsqlText(MADE_AGAIN, "p", "p", destructive=True)], {}, {})
    async with where() as target:
        assert [one.taken.id for one in await adopt(target, plan)] == taken
        steps = {step.id: step.action for step in await runner.survey(target, plan)}
        assert {step for step, action in steps.items() if action is not Action.done} == left
        assert server.executed() == executed
        await runner.apply(target, plan, limit=runner.Limit(destructive=True))
        assert {step.action for step in await runner.survey(target, plan)} == {Action.done}
        server.ksql("DROP STREAM s;")
        drifted = {step.id for step in await runner.survey(target, plan) if step.action.drift}
        assert drifted == {"p/S#3"}


async def test_what_none_of_several_creates_makes_is_refused(where: Where, server: KsqlServer) -> None:
    server.ksql("CREATE STREAM s (z INT) WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, VALUE_FORMAT='JSON');")
    plan = build_plan("p", [KsqlText(MADE_AGAIN, "p", "p", destructive=True)], {}, {})
    async with where() as target:
        with pytest.raises(RefusedError, match=r"p/S: the server's S is another than the plan's"):
            await adopt(target, plan)
        assert await history.read(target.cluster, target.topic, "an-app") == {}


async def test_a_query_that_was_taken_over_can_be_terminated_by_the_plan(where: Where, server: KsqlServer) -> None:
    by_hand(server)
    query = next(name for name in query_ids(server) if name.startswith("INSERTQUERY_"))
    ended = build_plan(
        "five", [KsqlText(f"{FIVE}TERMINATE {query};", "five", "five", destructive=True)], {}, dict(five().properties)
    )
    async with where() as target:
        await adopt(target, five())
        await runner.apply(target, ended, limit=runner.Limit(destructive=True))
        assert query not in query_ids(server)
        steps = {step.id: step.action for step in await runner.survey(target, ended)}
        assert set(steps.values()) == {Action.done}, steps
