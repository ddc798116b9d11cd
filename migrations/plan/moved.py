"""What was applied under other ids: a file of the plan was renamed, or its statements moved to another one. Pure."""

from __future__ import annotations

from collections.abc import Collection

from migrations.ksql.parse.normal import same_definition
from migrations.ksql.parse.statement import Kind
from migrations.plan.entry import Entry, History
from migrations.plan.model import Plan, Statement


def unchanged(statement: Statement, entry: Entry) -> bool:
    """Whether the statement, under its name on the server, is the one that was applied.

    The hash tells it at once. Statements that an earlier version applied under other rules for names and hashes have another
    hash, and the same text.
    """
    if entry.hash == statement.hash:
        return True
    return same_definition(entry.text, statement.text, any_partitions=statement.any_partitions)


def executed_before(plan: Plan, history: History, others: Collection[Entry]) -> dict[str, Entry]:
    """By the id of a new INSERT VALUES, DROP or TERMINATE: the entry of the same one under an id that the plan lacks.

    `others` are the entries of such ids. These statements leave nothing on the server that would tell. Each entry stands for
    one statement. An ASSERT may be executed again. Entries of another plan count if that one was renamed, as a plan of one
    file is with its file: what it created is in this plan, too.
    """
    new = [statement for statement in plan.statements if statement.id not in history]
    created = [statement for statement in new if not statement.info.kind.once]
    former_plans = {entry.plan for entry in others for one in created if one.name == entry.name and unchanged(one, entry)}
    left = [entry for entry in others if entry.plan in ("", plan.name) or entry.plan in former_plans]
    found: dict[str, Entry] = {}
    for statement in new:
        if not statement.info.kind.once or statement.info.kind is Kind.check:
            continue
        former = next((entry for entry in left if unchanged(statement, entry)), None)
        if former is not None:
            found[statement.id] = former
            left.remove(former)
    return found
