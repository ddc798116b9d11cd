"""The comparison of a plan with the history and the catalog: what is changed, and what only looks so."""

from __future__ import annotations

import msgspec
import pytest

from migrations.ksql.parse.normal import statement_hash
from migrations.plan.compare import Action, Step, compare
from migrations.plan.entry import Entry, Status
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.server.catalog import Catalog, SourceDescription

TEXT = "CREATE STREAM big WITH (KAFKA_TOPIC='big', PARTITIONS=${partitions}) AS SELECT * FROM s WHERE bid > 1 EMIT CHANGES;"
SERVER_TEXT = "CREATE STREAM BIG AS SELECT * FROM S S WHERE (S.BID > 1) EMIT CHANGES;"


def plan_of(text: str = TEXT, **variables: str) -> Plan:
    return build_plan("p", [KsqlText(text, "p", "p")], {"partitions": "8", **variables}, {})


def entry_of(plan: Plan, **changes: object) -> Entry:
    """The entry of the plan's only statement, applied as an earlier version hashed it: with its partitions."""
    (statement,) = plan.statements
    entry = Entry(
        id=statement.id, hash=statement_hash(statement.text), name=statement.name, text=statement.text, server_text=SERVER_TEXT,
        query_id="CSAS_BIG_3", status=Status.applied, app_id="a", app_version="1", user="me", cluster_id="c", plan="p",
        applied_at=1,
    )  # fmt: skip
    return msgspec.structs.replace(entry, **changes)


def catalog_of(text: str = SERVER_TEXT, *, query: bool = True) -> Catalog:
    queries = ("CSAS_BIG_3",) if query else ()
    source = SourceDescription("BIG", "STREAM", "big", text, windowed=False, queries=queries, readers=())
    return Catalog({"BIG": source}, dict.fromkeys(queries, text))


def step_of(plan: Plan, entry: Entry, catalog: Catalog | None = None) -> Step:
    (step,) = compare(plan, {entry.id: entry}, catalog or catalog_of())
    return step


def test_another_number_of_partitions_is_no_change_where_it_is_the_variable() -> None:
    assert step_of(plan_of(partitions="16"), entry_of(plan_of())).action is Action.done
    fixed = TEXT.replace("${partitions}", "8")
    assert step_of(plan_of(fixed.replace("8", "16")), entry_of(plan_of(fixed))).action is Action.alter


def test_what_was_applied_under_another_name_keeps_it() -> None:
    """As an earlier version did, whose names did not follow the settings."""
    named = TEXT.replace("STREAM big", "STREAM ${bars_instance}big")
    plan = plan_of(named, bars_instance="fx_")
    assert (plan.statements[0].id, plan.statements[0].name) == ("p/BIG", "FX_BIG")
    assert step_of(plan, entry_of(plan_of())).action is Action.done
    changed = plan_of(named.replace("bid > 1", "bid > 2"), bars_instance="fx_")
    step = step_of(changed, entry_of(plan_of()))
    assert (step.action, step.name) == (Action.alter, "BIG")


@pytest.mark.parametrize("changed", [False, True])
def test_a_change_by_hand_is_seen_even_behind_a_change_of_the_plan(*, changed: bool) -> None:
    plan = plan_of(TEXT.replace("bid > 1", "bid > 2") if changed else TEXT)
    step = step_of(plan, entry_of(plan_of()), catalog_of(SERVER_TEXT.replace("> 1", "> 100")))
    assert step.action is Action.differs
    assert ("the plan has changed too" in step.why) is changed


def test_a_query_that_is_gone_is_seen_even_behind_a_change_of_the_plan() -> None:
    plan = plan_of(TEXT.replace("bid > 1", "bid > 2"))
    step = step_of(plan, entry_of(plan_of()), catalog_of(query=False))
    assert (step.action, "its query CSAS_BIG_3 is gone" in step.why) == (Action.differs, True)


def test_an_altered_statement_is_the_one_that_was_sent_as_create_or_replace() -> None:
    entry = entry_of(
        plan_of(), text=TEXT.replace("CREATE ", "CREATE OR REPLACE ").replace("${partitions}", "4"), hash="v0:other"
    )
    assert step_of(plan_of(), entry).action is Action.done
