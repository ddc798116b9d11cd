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


def dropped_before(plan: Plan) -> dict[str, list[Statement]]:
    """By a statement's id: the statements before it that take away what has its name."""
    found: dict[str, list[Statement]] = {}
    so_far: dict[tuple[str, str], list[Statement]] = {}
    for statement in plan.statements:
        if statement.info.kind.destructive:
            so_far.setdefault(place_of(statement), []).append(statement)
        elif so_far and not statement.info.kind.once and (drops := so_far.get(place_of(statement))):
            found[statement.id] = list(drops)
    return found


def lives(plan: Plan) -> list[list[Statement]]:
    """The DROPs and TERMINATEs of what the plan makes again afterwards, in order: a list for each such thing."""
    found: dict[tuple[str, str], list[Statement]] = {}
    again: set[tuple[str, str]] = set()
    for statement in plan.statements:
        if statement.info.kind.destructive:
            found.setdefault(place_of(statement), []).append(statement)
        elif not statement.info.kind.once and place_of(statement) in found:
            again.add(place_of(statement))
    return [drops for named, drops in found.items() if named in again]
