"""What a plan makes and replaces later, by CREATE OR REPLACE: which statements make one stream or table in turn. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from migrations.plan.entry import Entry, History
from migrations.plan.model import Plan, Statement


def replaced_later(plan: Plan, executed: Collection[str]) -> dict[str, Statement]:
    """By a statement's id: the last one that replaces what it made, of those whose ids are among `executed`."""
    by_id = {statement.id: statement for statement in plan.statements}
    found: dict[str, Statement] = {}
    for statement in plan.statements:
        if statement.replaces and statement.id in executed:
            before = statement
            while before.replaces:
                before = by_id[before.replaces]
                found[before.id] = statement
    return found


def replaced_before(plan: Plan, executed: Collection[str]) -> dict[str, Statement]:
    """By a statement's id: the last one before it that made what it replaces, of those whose ids are among `executed`."""
    by_id = {statement.id: statement for statement in plan.statements}
    found: dict[str, Statement] = {}
    for statement in plan.statements:
        if not statement.replaces:
            continue
        before = by_id[statement.replaces]
        if before.id in executed:
            found[statement.id] = before
        elif before.id in found:
            found[statement.id] = found[before.id]
    return found


def without_queries(plan: Plan, history: History, last: Collection[str]) -> list[Entry]:
    """The entries of what the statements with the ids `last` have replaced, as having no query: that is the last one's now."""
    replaced = replaced_later(plan, last)
    found = (history[statement_id] for statement_id in replaced if statement_id in history)
    return [msgspec.structs.replace(entry, query_id="") for entry in found if entry.query_id]


def chains(plan: Plan, ids: Collection[str]) -> list[list[str]]:
    """Ids of statements that make one stream or table in turn, the last one first; those among `ids`, if they are several."""
    last = replaced_later(plan, ids)
    found: dict[str, list[str]] = {}
    for statement in reversed(plan.statements):
        if statement.id in last and statement.id in ids:
            found.setdefault(last[statement.id].id, [last[statement.id].id]).append(statement.id)
    return list(found.values())
