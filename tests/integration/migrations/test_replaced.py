"""Statements of one plan that make a stream in turn, by CREATE OR REPLACE in a later file."""

from __future__ import annotations

import pytest

from migrations.errors import RefusedError
from migrations.plan.compare import Action
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run import runner, swap
from migrations.run.adopt import adopt
from migrations.run.rollback import retire, roll_back
from tests.integration.migrations.plans import POINTS, InterruptedRunError, Where, interrupt
from tests.support.ksqldb import KsqlServer

WITH = "WITH (KAFKA_TOPIC='rates', PARTITIONS=1, VALUE_FORMAT='JSON');"
FIRST = f"CREATE STREAM rates (code STRING KEY, rate DOUBLE) {WITH}"
BETWEEN = "CREATE STREAM high WITH (KAFKA_TOPIC='high') AS SELECT * FROM rates WHERE rate > 1 EMIT CHANGES;"
SECOND = f"CREATE OR REPLACE STREAM rates (code STRING KEY, rate DOUBLE, bank STRING) {WITH}"
THIRD = f"CREATE OR REPLACE STREAM rates (code STRING KEY, rate DOUBLE, bank STRING, since_ms BIGINT) {WITH}"
ALL = [FIRST, BETWEEN, SECOND, THIRD]


def plan_of(*texts: str, prefix: str = "") -> Plan:
    """Each text is a file of its own, as those of a directory."""
    files = [KsqlText(text, f"{prefix}{number}.ksql", f"{prefix}{number}") for number, text in enumerate(texts, 1)]
    return build_plan("p", files, {}, {})


async def states(where: Where, plan: Plan) -> list[Action]:
    """What a comparison says of each statement."""
    async with where() as target:
        return [step.action for step in await runner.survey(target, plan) if step.statement is not None]


async def test_a_later_file_replaces_a_stream_in_the_same_run_and_in_a_later_one(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, plan_of(FIRST, BETWEEN, SECOND))
        assert server.executed() == [FIRST, BETWEEN, SECOND]
        assert await states(where, plan_of(FIRST, BETWEEN, SECOND)) == [Action.done] * 3
        assert await states(where, plan_of(*ALL)) == [*[Action.done] * 3, Action.alter]
        await runner.apply(target, plan_of(*ALL))
        assert server.executed() == ALL
        assert (await runner.apply(target, plan_of(*ALL))).applied == []
        steps = await runner.survey(target, plan_of(*ALL))
        assert [step.why for step in steps if step.replaced] == ["replaced since, by 4/RATES"] * 2
        changed = plan_of(FIRST.replace("DOUBLE", "BIGINT"), *ALL[1:])
        with pytest.raises(RefusedError, match=r"1/RATES .*changed, and 4/RATES has replaced what it made: set its text back"):
            await runner.apply(target, changed)


@pytest.mark.parametrize("point", POINTS)
async def test_a_replacement_that_was_interrupted_is_finished(
    where: Where, server: KsqlServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    async with where() as target:
        await runner.apply(target, plan_of(FIRST))
        with monkeypatch.context() as cut:
            interrupt(cut, point, "RATES")
            with pytest.raises(InterruptedRunError):
                await runner.apply(target, plan_of(*ALL[:3]))
        await runner.apply(target, plan_of(*ALL[:3]))
    assert [text for text in server.executed() if "bank" in text] == [SECOND]
    assert await states(where, plan_of(*ALL[:3])) == [Action.done] * 3


@pytest.mark.parametrize("point", [POINTS[1], "the connection breaks before", "the connection breaks after"])
async def test_the_second_of_two_replacements_in_one_run_is_executed_whenever_that_is_interrupted(
    where: Where, server: KsqlServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """What the first one made must not pass for what the second one makes."""
    plan = plan_of(FIRST, SECOND, THIRD)
    async with where() as target:
        await runner.apply(target, plan_of(FIRST))
        with monkeypatch.context() as cut:
            if point in POINTS:
                interrupt(cut, point, "RATES", "since_ms")
                with pytest.raises(InterruptedRunError):
                    await runner.apply(target, plan)
            else:
                server.fault(point.rpartition(" ")[2], match=f'"ksql":"{THIRD}"')
        await runner.apply(target, plan)
    assert server.executed() == [FIRST, SECOND, THIRD]
    assert await states(where, plan) == [Action.done] * 3


async def test_what_is_gone_is_made_by_the_last_one(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, plan_of(FIRST, SECOND))
        server.ksql("DROP STREAM rates;")
        assert await states(where, plan_of(FIRST, SECOND, THIRD)) == [Action.done, Action.missing, Action.apply]
        await runner.apply(target, plan_of(FIRST, SECOND, THIRD), repair=True)
    assert server.executed()[-2:] == [SECOND.replace(" OR REPLACE", ""), THIRD]
    assert await states(where, plan_of(FIRST, SECOND, THIRD)) == [Action.done] * 3


async def test_what_another_hand_has_made_is_taken_over_up_to_what_it_is(where: Where, server: KsqlServer) -> None:
    for text in (FIRST, SECOND):
        server.ksql(text)
    async with where() as target:
        adopted = await adopt(target, plan_of(FIRST, SECOND, THIRD))
        assert [one.taken.id for one in adopted] == ["1/RATES", "2/RATES"]
        assert await states(where, plan_of(FIRST, SECOND, THIRD)) == [Action.done, Action.done, Action.alter]
        renamed = plan_of(FIRST, SECOND, THIRD, prefix="V")
        assert [(one.taken.id, one.former and one.former.id) for one in await adopt(target, renamed)] == [
            ("V1/RATES", "1/RATES"),
            ("V2/RATES", "2/RATES"),
        ]
        await runner.apply(target, renamed)
    assert server.executed() == [FIRST, SECOND, THIRD]


async def test_what_the_server_cannot_replace_names_the_way_out(where: Where, server: KsqlServer) -> None:
    windowed = (
        "CREATE {}TABLE n WITH (KAFKA_TOPIC='n', KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS SELECT code, COUNT(*) AS n "
        "FROM rates WINDOW TUMBLING (SIZE {} MINUTES) GROUP BY code EMIT CHANGES;"
    )
    plan = plan_of(FIRST, windowed.format("", 1), windowed.format("OR REPLACE ", 2))
    shrunk = plan_of(FIRST, f"CREATE OR REPLACE STREAM rates (code STRING KEY) {WITH}")
    async with where() as target:
        await runner.apply(target, plan_of(FIRST, windowed.format("", 1)))
        with pytest.raises(RefusedError, match=r"windowed aggregation cannot be replaced .*: give the new one another name"):
            await runner.apply(target, plan)
        with pytest.raises(RefusedError, match="2/RATES: the server cannot replace RATES by it: change 1/RATES itself"):
            await swap.force_new_name(target, shrunk)
    assert len(server.executed()) == 2


async def test_a_swap_of_what_was_replaced_rebuilds_its_readers_before_it_and_leaves_nothing_behind(
    where: Where, server: KsqlServer, fast_polling: None
) -> None:
    high = "CREATE {}STREAM high WITH (KAFKA_TOPIC='high') AS SELECT {} FROM rates WHERE rate > 1 EMIT CHANGES;"
    reader = "CREATE STREAM {} WITH (KAFKA_TOPIC='{}') AS SELECT * FROM {} EMIT CHANGES;"
    first = [
        FIRST,
        high.format("", "code, rate"),
        reader.format("higher", "higher", "high"),
        reader.format("last", "last", "higher"),
    ]
    plan = plan_of(*first, high.format("OR REPLACE ", "code, rate, rate * 2 AS twice"))
    again = reader.replace("CREATE", "CREATE OR REPLACE").format("last", "last", "higher")
    changed = plan_of(*first, high.format("OR REPLACE ", "code, rate, rate * 3 AS thrice"))
    async with where() as target:
        await runner.apply(target, plan)
        before = len(server.executed())
        await swap.force_new_name(target, changed)
        made = [text.split(" WITH")[0] for text in server.executed()[before:]]
        assert made == ["CREATE STREAM HIGH_V2", "CREATE STREAM HIGHER_V2", "CREATE STREAM LAST_V2"]
        assert await states(where, changed) == [Action.done] * 5
        await roll_back(target, changed)
        assert await states(where, plan) == [Action.done] * 5
        await swap.force_new_name(target, changed)
        await retire(target, changed, readers_moved=True)
        assert sorted((await target.client.catalog()).sources) == ["HIGHER_V3", "HIGH_V3", "LAST_V3", "RATES"]
        texts = [one.text for one in changed.statements]
        texts[2] = texts[2].replace("*", "code, rate AS other")
        with pytest.raises(RefusedError, match="6/LAST is new, and replaces LAST, which is to be built anew: leave it out"):
            await swap.preview(target, plan_of(*texts[:4], texts[4].replace("CREATE", "CREATE OR REPLACE"), again))
