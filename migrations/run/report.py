"""What people and programs see of a plan, a comparison and a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import unified_diff
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from migrations.plan.compare import Action, Step
from migrations.plan.model import Plan
from migrations.run.history import Entry

STYLES = {
    Action.done: "green",
    Action.apply: "yellow",
    Action.adopt: "yellow",
    Action.alter: "yellow",
    Action.refused: "bold red",
    Action.missing: "bold red",
    Action.differs: "bold red",
    Action.left: "dim",
}


def plan_table(plan: Plan) -> Table:
    """The statements of a plan."""
    made = Table(box=None, pad_edge=False)
    for name in ("id", "makes", "name", "hash"):
        made.add_column(name, overflow="fold")
    for statement in plan.statements:
        made.add_row(statement.id, str(statement.about.kind), statement.name, short(statement.hash))
    return made


def steps_table(steps: Iterable[Step]) -> Table:
    """What is to be done about each statement, and why."""
    made = Table(box=None, pad_edge=False)
    for name in ("id", "name", "state", "why"):
        made.add_column(name, overflow="fold")
    for step in steps:
        made.add_row(step.id, step.name, Text(str(step.action), STYLES[step.action]), Text(step.why))
    return made


def summary(steps: Sequence[Step]) -> str:
    """One line."""
    pending = sum(step.action.pending for step in steps)
    wrong = sum(step.action.drift or step.action is Action.refused for step in steps)
    done = sum(step.action is Action.done for step in steps)
    if wrong:
        return f"{wrong} refused or drifted, {pending} pending, {done} done"
    return f"{pending} pending, {done} done" if pending else f"nothing to do: {done} statements are applied"


def diff(steps: Iterable[Step]) -> Group:
    """For each statement that is not done: plan against history, and the server then and now, as a reviewer reads it."""
    parts: list[Text] = []
    for step in steps:
        if step.action in (Action.done, Action.left):
            continue
        parts.append(Text(f"{step.id}  {step.action}: {step.why}", STYLES[step.action]))
        if step.entry is None and step.statement is not None and step.server_text is not None:
            parts += _lines(step.server_text, step.statement.text, "server", "plan")
            continue
        then = step.entry.text if step.entry is not None else ""
        if step.statement is not None and step.action is not Action.differs:
            parts += _lines(then, step.statement.text, "applied", "plan")
        if step.entry is not None and step.server_text is not None and step.action is Action.differs:
            parts += _lines(step.entry.server_text, step.server_text, "server then", "server now")
    return Group(*parts)


def _lines(old: str, new: str, old_name: str, new_name: str) -> list[Text]:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    found = unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    return [Text(f"  {line}", colours.get(line[:1], "")) for line in found]


def step_data(step: Step) -> dict[str, Any]:
    """One step for a program."""
    return {
        "id": step.id,
        "name": step.name,
        "state": str(step.action),
        "why": step.why,
        "hash": step.statement.hash if step.statement is not None else None,
        "applied_hash": step.entry.hash if step.entry is not None else None,
        "applied_at": step.entry.applied_at if step.entry is not None else None,
    }


def entry_data(entry: Entry) -> dict[str, Any]:
    """One applied statement for a program; also a line of the log."""
    return {
        "migration": entry.id,
        "name": entry.name,
        "hash": entry.hash,
        "status": str(entry.status),
        "query_id": entry.query_id,
        "applied_at": entry.applied_at,
        "duration_ms": entry.duration_ms,
        "user": entry.user,
    }


def statement_data(plan: Plan) -> list[dict[str, Any]]:
    """A plan for a program."""
    return [
        {"id": one.id, "kind": str(one.about.kind), "name": one.name, "hash": one.hash, "text": one.text, "origin": one.origin}
        for one in plan.statements
    ]


def short(text: str) -> str:
    """The version and the beginning of a hash."""
    version, _, digest = text.partition(":sha256:")
    return f"{version}:{digest[:12]}"
