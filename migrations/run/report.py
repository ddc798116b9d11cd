"""Plans, steps and entries as text for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import unified_diff
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from migrations.plan.compare import Action, Step
from migrations.plan.entry import Entry
from migrations.plan.model import Plan

STYLES = {
    Action.done: "green",
    Action.apply: "yellow",
    Action.adopt: "yellow",
    Action.alter: "yellow",
    Action.refused: "bold red",
    Action.missing: "bold red",
    Action.differs: "bold red",
    Action.unknown: "bold red",
    Action.left: "dim",
}


def plan_table(plan: Plan) -> Table:
    """A table of a plan's statements."""
    table = Table(box=None, pad_edge=False)
    for name in ("id", "makes", "name", "hash"):
        table.add_column(name, overflow="fold")
    for statement in plan.statements:
        table.add_row(statement.id, str(statement.info.kind), statement.name, short_hash(statement.hash))
    return table


def steps_table(steps: Iterable[Step]) -> Table:
    """A table of steps with their reasons."""
    table = Table(box=None, pad_edge=False)
    for name in ("id", "name", "state", "why"):
        table.add_column(name, overflow="fold")
    for step in steps:
        table.add_row(step.id, step.name, Text(str(step.action), STYLES[step.action]), Text(step.why))
    return table


def summary(steps: Sequence[Step]) -> str:
    """How many steps are pending, done or refused, in one line."""
    pending = sum(step.action.pending for step in steps)
    wrong = sum(step.action.drift or step.action is Action.refused for step in steps)
    done = sum(step.action is Action.done for step in steps)
    if wrong:
        return f"{wrong} refused or drifted, {pending} pending, {done} done"
    return f"{pending} pending, {done} done" if pending else f"nothing to do: {done} statements are applied"


def reads_left_out(plan: Plan) -> list[str]:
    """A line for each statement of the plan's files that only reads."""
    return [f"{one.file}:{one.line}: {one.text}: reads only; left out" for one in plan.reads]


def with_reads(line: str, plan: Plan) -> str:
    """A line about a plan, with the number of statements that only read, if there are any."""
    number = len(plan.reads)
    return f"{line}; {number} that only {'reads is' if number == 1 else 'read are'} left out" if number else line


def read_data(plan: Plan) -> list[dict[str, Any]]:
    """The statements that only read as JSON data."""
    return [{"file": one.file, "line": one.line, "text": one.text, "why": "reads only"} for one in plan.reads]


def diff(steps: Iterable[Step]) -> Group:
    """Unified diffs of all steps that are not done: plan and history, or the server's text then and now."""
    parts: list[Text] = []
    for step in steps:
        if step.action in (Action.done, Action.left):
            continue
        parts.append(Text(f"{step.id}  {step.action}: {step.why}", STYLES[step.action]))
        if step.entry is None and step.statement is not None and step.server_text is not None:
            parts += _diff_lines(step.server_text, step.statement.text, "server", "plan")
            continue
        applied = step.entry.text if step.entry is not None else ""
        if step.statement is not None and step.action is not Action.differs:
            parts += _diff_lines(applied, step.statement.text, "applied", "plan")
        if step.entry is not None and step.server_text is not None and step.action is Action.differs:
            parts += _diff_lines(step.entry.server_text, step.server_text, "server then", "server now")
    return Group(*parts)


def _diff_lines(old: str, new: str, old_name: str, new_name: str) -> list[Text]:
    colors = {"+": "green", "-": "red", "@": "cyan"}
    lines = unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    return [Text(f"  {line}", colors.get(line[:1], "")) for line in lines]


def step_data(step: Step) -> dict[str, Any]:
    """A step as JSON data."""
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
    """An entry as JSON data; also a line of the log."""
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


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan with its statements as JSON data."""
    statements = [
        {"id": one.id, "kind": str(one.info.kind), "name": one.name, "hash": one.hash, "text": one.text, "origin": one.origin}
        | ({} if one.properties == plan.properties else {"properties": dict(one.properties)})
        for one in plan.statements
    ]
    properties = dict(plan.properties)
    return {"plan": plan.name, "properties": properties, "statements": statements, "left_out": read_data(plan)}


def short_hash(text: str) -> str:
    """The version and the first 12 digits of a hash."""
    version, _, digest = text.partition(":sha256:")
    return f"{version}:{digest[:12]}"
