"""New objects are recorded together, after one look at the catalog, and each statement is executed once all the same."""

from __future__ import annotations

import pytest

from migrations.errors import KsqlDbError
from migrations.plan.compare import Action
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run import executor, history, runner
from tests.integration.migrations.plans import POINTS, InterruptedRunError, Where, interrupt
from tests.support.ksqldb import KsqlServer

TYPES = [f"CREATE TYPE t{number} AS STRUCT<x INT>;" for number in range(20)]


def plan_of(statements: list[str]) -> Plan:
    """Statements as a plan of one file."""
    return build_plan("p", [KsqlText("\n".join(statements), "p", "p")], {}, {})


def looks(server: KsqlServer) -> int:
    """How often the catalog was asked for."""
    return sum("LIST TYPES" in request for request in server.requests())


@pytest.fixture(autouse=True)
def a_slow_machine_records_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what follows says when entries are recorded, not the time that has passed."""
    monkeypatch.setattr(executor, "RECORDED_SECONDS", 3_600.0)


async def test_the_catalog_is_asked_for_once_for_many_new_objects(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.survey(target, plan_of(TYPES))
        one = looks(server)
        done = await runner.apply(target, plan_of(TYPES))
        assert looks(server) - one == 2 * one + 1  # a survey before the lock, one after it, and one look at what was made
        assert [entry.name for entry in done.applied] == [f"T{number}" for number in range(20)]
        assert {step.action for step in await runner.survey(target, plan_of(TYPES))} == {Action.done}


async def test_what_was_executed_before_a_rejected_statement_is_recorded(where: Where, server: KsqlServer) -> None:
    server.fault("refuse", match='"ksql":"CREATE TYPE t2 ')  # not the check of the plan, whose text begins otherwise
    async with where() as target:
        with pytest.raises(KsqlDbError):
            await runner.apply(target, plan_of(TYPES[:5]))
        entries = await history.read(target.cluster, target.topic, target.app_id)
        assert {entry.name: str(entry.status) for entry in entries.values()} == {"T0": "applied", "T1": "applied"}
        await runner.apply(target, plan_of(TYPES[:5]))
    assert server.executed() == TYPES[:5]


async def test_a_run_that_ends_before_it_recorded_several_is_finished_by_the_next(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, POINTS[3], "T4")
            with pytest.raises(InterruptedRunError):
                await runner.apply(target, plan_of(TYPES[:5]))
        entries = await history.read(target.cluster, target.topic, target.app_id)
        assert {str(entry.status) for entry in entries.values()} == {"sending"}
        assert len(entries) == 5
        await runner.apply(target, plan_of(TYPES[:5]))
        assert {step.action for step in await runner.survey(target, plan_of(TYPES[:5]))} == {Action.done}
    assert server.executed() == TYPES[:5]
