"""What a plan creates and later takes away again: which DROP or TERMINATE belongs to which statement. Pure."""

from __future__ import annotations

from migrations.plan.model import Plan, Statement, place_of


def dropped_later(plan: Plan) -> dict[str, Statement]:
    """The statement that takes away what a statement creates, by the id of the latter."""
    found: dict[str, Statement] = {}
    created: dict[tuple[str, str], list[str]] = {}  # several, where one replaces another
    for statement in plan.statements:
        if statement.info.kind.destructive:
            found |= dict.fromkeys(created.pop(place_of(statement), ()), statement)
        elif not statement.info.kind.once:
            created.setdefault(place_of(statement), []).append(statement.id)
    return found


def dropped_before(plan: Plan, statement: Statement) -> list[Statement]:
    """The statements before this one that take away what has its name."""
    if statement.info.kind.once or not any(one.info.kind.destructive for one in plan.statements):
        return []
    before = plan.statements[: plan.statements.index(statement)]
    return [one for one in before if one.info.kind.destructive and place_of(one) == place_of(statement)]
