"""Statements that are executed once: INSERT VALUES, ASSERT, connectors, and those that take something away."""

from __future__ import annotations

import json

import pytest

from migrations.errors import KsqlDbError, MigrationError, PlanRefusedError, RefusedError, UnreachableError
from migrations.plan.compare import Action
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run import runner
from migrations.run.adopt import adopt
from migrations.run.runner import Limit
from tests.integration.migrations.plans import InterruptedRunError, Where, interrupt
from tests.support.ksqldb import KsqlServer
from tests.support.worker import Worker

STREAM = "CREATE STREAM rates (code STRING KEY, rate DOUBLE) WITH (KAFKA_TOPIC='rates', PARTITIONS=1, VALUE_FORMAT='JSON');"
INSERT = "INSERT INTO rates (code, rate) VALUES ('EUR', 1.1);"
CONNECTOR = (
    "CREATE SINK CONNECTOR IF NOT EXISTS `to-db` WITH ('connector.class'='io.x.Sink', 'topics'='rates', "
    "\"connection.password\"='pa''ss');"
)
ALL = f"ASSERT NOT EXISTS TOPIC 'nothing';\n{STREAM}\n{INSERT}\nASSERT TOPIC rates WITH (PARTITIONS=1);\n{CONNECTOR}\n{INSERT}"


def plan_of(text: str) -> Plan:
    """A text that says that it takes something away as a plan."""
    return build_plan("p", [KsqlText(text, "p", "p", destructive=True)], {}, {})


async def states(where: Where, plan: Plan) -> dict[str, Action]:
    """What a comparison says of each statement."""
    async with where() as target:
        return {step.id: step.action for step in await runner.survey(target, plan)}


def test_rows_assertions_and_connectors_of_a_plan_are_executed_once(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "p.ksql").write_text(ALL)
    given = ("--plan", "p.ksql")
    dry = worker.run("migrate", *given)
    assert (dry.returncode, server.executed()) == (3, []), dry.stderr
    assert worker.run("migrate", "apply", *given).returncode == 0
    executed = [STREAM, INSERT, CONNECTOR.replace(" IF NOT EXISTS", ""), INSERT]
    assert server.executed() == executed
    told = worker.run("migrate", "history", "--json").stdout
    assert ("pa''ss" in told, "connection.password" in told, "io.x.Sink" in told) == (False, True, True)
    again = worker.run("migrate", "apply", *given)
    assert (again.returncode, "nothing to do: 6 statements" in again.stdout) == (0, True), again.stderr
    (worker.directory / "p.ksql").write_text(ALL.replace("1.1);", "1.2);", 1).replace("io.x.Sink", "io.x.Other"))
    status = worker.run("migrate", "status", "--json", *given)
    why = {step["id"]: step["why"] for step in json.loads(status.stdout)["steps"] if step["state"] == "refused"}
    assert status.returncode == 4
    assert why["p/VALUES_INTO_RATES"].startswith("changed: it was executed once, and is not again")
    assert why["p/CONNECTOR_to-db"].startswith("changed: KSQL cannot alter a connector")
    assert server.executed() == executed


async def test_an_assertion_that_fails_ends_the_run_before_what_follows(where: Where, server: KsqlServer) -> None:
    plan = plan_of(f"{STREAM}\nASSERT TOPIC rates WITH (PARTITIONS=7);\n{INSERT}")
    async with where() as target:
        for _ in range(2):
            with pytest.raises(
                PlanRefusedError, match=r"p/ASSERT_rates: Mismatched .* expected 7 got 1, as the plan"
            ) as failed:
                await runner.apply(target, plan)
            assert failed.value.exit_code == 4
    assert server.executed() == [STREAM]
    assert list((await states(where, plan)).values()) == [Action.done, Action.apply, Action.apply]


async def test_a_server_without_kafka_connect_is_named(where: Where, server: KsqlServer) -> None:
    server.set_state(connect=False)
    async with where() as target:
        with pytest.raises(MigrationError, match=r"SHOW CONNECTORS: Connection refused \(see ksql.connect.url there\)"):
            await runner.survey(target, plan_of(CONNECTOR))
        assert len(await runner.survey(target, plan_of(INSERT))) == 1  # without connectors, nothing asks for them


async def test_a_refusal_of_a_connector_does_not_show_its_values(where: Where, server: KsqlServer) -> None:
    server.fault("refuse", times=2, match="CREATE SINK")
    async with where() as target:
        with pytest.raises(KsqlDbError, match="reserved keyword") as checked:
            await runner.apply(target, plan_of(CONNECTOR))
        with pytest.raises(KsqlDbError, match="reserved keyword") as executed:
            await target.client.execute(CONNECTOR, {})
    for error in (checked.value, executed.value):
        assert "pa''ss" not in str(error) + error.statement


async def test_a_row_whose_outcome_is_unknown_is_not_sent_again_unasked(where: Where, server: KsqlServer) -> None:
    plan = plan_of(STREAM + INSERT)
    server.fault("after", match=f'"ksql":"{INSERT}"')
    async with where() as target:
        with pytest.raises(UnreachableError):
            await runner.apply(target, plan)
        (step,) = [step for step in await runner.survey(target, plan) if step.action is not Action.done]
        assert (step.action, "see whether RATES has the row" in step.why) == (Action.unknown, True)
        with pytest.raises(RefusedError, match="`migrate adopt` records it as done, `apply --repair` sends it"):
            await runner.apply(target, plan)
        assert server.executed() == [STREAM, INSERT]
        assert [one.taken.id for one in await adopt(target, plan)] == ["p/VALUES_INTO_RATES"]
        assert (await runner.apply(target, plan)).applied == []
        again = plan_of(f"{STREAM}{INSERT}{INSERT}")
        server.fault("before", match=f'"ksql":"{INSERT}"')
        with pytest.raises(UnreachableError):
            await runner.apply(target, again)
        await runner.apply(target, again, repair=True)
    assert server.executed() == [STREAM, INSERT, INSERT]
    assert set((await states(where, again)).values()) == {Action.done}


REPLACED = STREAM.replace("rate DOUBLE", "rate DECIMAL(18, 8)")
DROPPED = f"{STREAM}\n{CONNECTOR}\nDROP STREAM rates DELETE TOPIC;\nDROP CONNECTOR `to-db`;\n{REPLACED}"


def test_what_takes_something_away_needs_two_words(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "p.ksql").write_text(f"-- destructive: yes\n{DROPPED}")
    given = ("--plan", "p.ksql")
    dry = worker.run("migrate", *given)
    assert (dry.returncode, server.executed()) == (3, []), dry.stderr
    assert not [text for text in server.requests() if "DELETE TOPIC" in text]  # newer servers would delete it
    refused = worker.run("migrate", "apply", *given)
    assert (refused.returncode, server.executed()) == (4, [])
    assert "p/DROP_RATES: it takes RATES away: `apply --allow-destructive` executes it" in refused.stderr
    assert worker.run("migrate", "apply", "--until", "p/CONNECTOR_to-db", *given).returncode == 0
    done = worker.run("migrate", "apply", "--allow-destructive", *given)
    assert done.returncode == 0, done.stderr
    drops = ["DROP STREAM rates DELETE TOPIC;", "DROP CONNECTOR `to-db`;"]
    assert server.executed() == [STREAM, CONNECTOR.replace(" IF NOT EXISTS", ""), *drops, REPLACED]
    status = worker.run("migrate", "status", *given)
    assert (status.returncode, "dropped since, by p/DROP_RATES" in " ".join(status.stdout.split())) == (0, True)


@pytest.mark.parametrize("point", ["before it is sent", "after it was sent"])
async def test_an_interrupted_drop_is_finished(
    where: Where, server: KsqlServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    plan, all_of_it = plan_of(DROPPED), Limit(destructive=True)
    async with where() as target:
        with monkeypatch.context() as patched:
            interrupt(patched, point, "DROP STREAM rates")
            with pytest.raises(InterruptedRunError):
                await runner.apply(target, plan, limit=all_of_it)
        await runner.apply(target, plan, limit=all_of_it)
    assert sum(text.startswith("DROP STREAM") for text in server.executed()) == 1
    assert set((await states(where, plan)).values()) == {Action.done}


async def test_a_drop_whose_answer_is_lost_is_not_an_error(where: Where, server: KsqlServer) -> None:
    server.fault("after", match='"ksql":"DROP STREAM')
    async with where() as target:
        await runner.apply(target, plan_of(DROPPED), limit=Limit(destructive=True))
    assert server.executed()[-1] == REPLACED


async def test_what_was_executed_is_not_executed_again_after_its_file_is_renamed(where: Where, server: KsqlServer) -> None:
    """Two equal rows, and a stream that was dropped and made otherwise: `adopt` takes them over."""
    text = f"{STREAM}\n{INSERT}\n{INSERT}\nDROP STREAM rates;\n{STREAM.replace('DOUBLE', 'BIGINT')}"
    moved = build_plan("q", [KsqlText(text, "q", "q", destructive=True)], {}, {})
    async with where() as target:
        await runner.apply(target, plan_of(text), limit=Limit(destructive=True))
        executed = server.executed()
        steps = {step.id: step for step in await runner.survey(target, moved)}
        for name in ("VALUES_INTO_RATES", "VALUES_INTO_RATES#2", "DROP_RATES"):
            step = steps[f"q/{name}"]
            assert (step.action, f"applied before as p/{name} of the plan p: `migrate adopt` takes it over" in step.why) == (
                Action.refused,
                True,
            )
        with pytest.raises(RefusedError, match="`migrate adopt` takes it over"):
            await runner.apply(target, moved, limit=Limit(destructive=True))
        await adopt(target, moved)
        assert {step.action for step in await runner.survey(target, moved) if step.statement is not None} == {Action.done}
        assert server.executed() == executed
        with_more = build_plan("q", [KsqlText(f"{text}\n{INSERT}", "q", "q", destructive=True)], {}, {})
        new = {step.id for step in await runner.survey(target, with_more) if step.action is Action.apply}
        assert new == {"q/VALUES_INTO_RATES#3"}  # a third row is another one


def renamed(text: str, *files: str) -> Plan:
    """The statements of a text in files of these names, one each."""
    split = [f"{one};" for one in text.split(";\n") if one]
    return build_plan(
        "p", [KsqlText(one, name, name, destructive=True) for one, name in zip(split, files, strict=True)], {}, {}
    )


async def test_what_was_executed_once_is_not_executed_again_from_a_renamed_file(where: Where, server: KsqlServer) -> None:
    other = STREAM.replace("rate DOUBLE", "rate DOUBLE, bank STRING")
    text = f"{STREAM}\n{INSERT}\n{INSERT}\nDROP STREAM rates;\n{other}\n"
    before, after = renamed(text, *"abcde"), renamed(text, *"vwxyz")
    async with where() as target:
        await runner.apply(target, before, limit=Limit(destructive=True))
        executed = server.executed()
        message = r"w/VALUES_INTO_RATES .* applied before as b/VALUES_INTO_RATES of the plan p: .*adopt"
        with pytest.raises(RefusedError, match=message):
            await runner.apply(target, after, limit=Limit(destructive=True))
        taken = {one.taken.id: one.former.id for one in await adopt(target, after) if one.former is not None}
        assert taken == {
            "w/VALUES_INTO_RATES": "b/VALUES_INTO_RATES",
            "x/VALUES_INTO_RATES": "c/VALUES_INTO_RATES",
            "y/DROP_RATES": "d/DROP_RATES",
            "z/RATES": "e/RATES",
        }
        assert set((await states(where, after)).values()) == {Action.done, Action.left}
        assert (await runner.apply(target, after)).applied == []
        assert server.executed() == executed


async def test_the_same_row_is_sent_again_where_the_plan_keeps_the_former_one(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, renamed(f"{STREAM}\n{INSERT}\n", *"ab"))
        await runner.apply(target, renamed(f"{STREAM}\n{INSERT}\n{INSERT}\n", *"abc"))
        elsewhere = build_plan("q", [KsqlText(INSERT, "q", "q")], {}, {})  # another plan is another matter
        await runner.apply(target, elsewhere)
    assert server.executed() == [STREAM, INSERT, INSERT, INSERT]
