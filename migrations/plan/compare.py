"""What is to be done: the plan beside what was applied and what the server has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from migrations.ksql.parse.lexer import Lexeme, tokenize
from migrations.ksql.parse.statement import Kind
from migrations.plan.model import Plan, Statement
from migrations.plan.rename import names_now, placed
from migrations.run.history import Entry, History, Status
from migrations.server.catalog import Catalogue, same_text


class Action(StrEnum):
    """What becomes of one statement."""

    done = "done"
    apply = "apply"
    adopt = "adopt"  # it was sent before a crash, and is there: only the record is missing
    alter = "alter"  # sent as CREATE OR REPLACE
    refused = "refused"
    missing = "missing"  # drift: it was applied and is gone
    differs = "differs"  # drift: the server's text is not what it was
    left = "left"  # in the history, no longer in the plan

    @property
    def pending(self) -> bool:
        """Whether `apply` does something about it."""
        return self in (Action.apply, Action.adopt, Action.alter)

    @property
    def drift(self) -> bool:
        """Whether the server is not as the history says."""
        return self in (Action.missing, Action.differs)


@dataclass(frozen=True)
class Step:
    """One statement, what to do about it and why; `statement` is None for what the plan has left."""

    id: str
    name: str
    action: Action
    why: str
    statement: Statement | None = None
    entry: Entry | None = None
    server_text: str | None = None

    @property
    def text(self) -> str:
        """What is sent."""
        if self.statement is None:
            return ""
        return or_replace(self.statement.text) if self.action is Action.alter else self.statement.text


def compare(plan: Plan, history: History, catalogue: Catalogue | None) -> list[Step]:
    """A step for each statement of the plan, in its order, then what the plan has left; no catalogue: the history alone."""
    names = names_now(plan, history)
    steps = [_step(placed(statement, names), history.get(statement.id), catalogue) for statement in plan.statements]
    planned = {statement.id for statement in plan.statements}
    for entry in history.values():
        if entry.plan not in ("", plan.name):
            continue
        if entry.status is Status.replaced:
            steps.append(Step(entry.id, entry.name, Action.left, "something with a new name is in its place: `migrate retire`"))
        elif entry.id not in planned:
            why = "applied once, no longer in the plan: it stays"
            steps.append(Step(entry.id, entry.name, Action.left, why, entry=entry, server_text=entry.server_text))
    return steps


def _step(statement: Statement, entry: Entry | None, catalogue: Catalogue | None) -> Step:  # noqa: PLR0911  # one return a case
    found = None if catalogue is None else catalogue.text_of(statement)

    def step(action: Action, why: str) -> Step:
        return Step(statement.id, statement.name, action, why, statement, entry, found)

    if entry is None:
        if found is None:
            return step(Action.apply, "new")
        why = f"the server has {statement.name} already, and not by this plan: drop it, or leave it out of the plan"
        return step(Action.refused, why)
    changed = entry.hash != statement.hash
    if entry.status is Status.sending and (found is not None or not entry.server_text):
        return step(*_cut_off(statement, entry, found))
    if catalogue is not None and found is None:
        return step(Action.missing, "it was applied and is gone from the server; `apply --repair` makes it again")
    if changed:
        return _changed(statement, step)
    if catalogue is not None and statement.about.kind.source and entry.query_id and entry.query_id not in catalogue.queries:
        why = f"its query {entry.query_id} is gone, and nothing goes on: drop {statement.name}, then `apply --repair`"
        return step(Action.differs, why)
    if found is not None and not same_text(found, entry.server_text):
        return step(Action.differs, "the server's text is not the one it had after it was applied")
    return step(Action.done, f"applied {entry.hash.rpartition(':')[2][:8]}")


def _cut_off(statement: Statement, entry: Entry, found: str | None) -> tuple[Action, str]:
    """What to do about a statement that was being sent when a run ended."""
    if found is None:
        return Action.apply, "a run was cut off before the server had it"
    if entry.server_text and same_text(found, entry.server_text):
        return Action.alter, "a run was cut off before the server had altered it"
    if entry.hash != statement.hash:
        return Action.refused, f"a run was cut off while it made another {statement.name}: set that text back first"
    return Action.adopt, "a run was cut off after the server had it"


def _changed(statement: Statement, step: Callable[[Action, str], Step]) -> Step:
    about = statement.about
    if about.kind is Kind.create_table_as and about.windowed:
        why = (
            "a windowed aggregation cannot be altered without losing its windows; "
            "`apply --force-new-name` builds the new one beside it"
        )
        return step(Action.refused, why)
    if about.kind.source:
        return step(Action.alter, "changed: CREATE OR REPLACE, which the server checks first")
    if about.kind is Kind.insert_select:
        return step(Action.refused, "changed: a running query cannot be altered; give the new one another QUERY_ID and id")
    return step(Action.refused, "changed: a type cannot be altered; give the new one another name and id")


def or_replace(text: str) -> str:
    """`CREATE ..` as `CREATE OR REPLACE ..`."""
    return _after(text, "CREATE", "OR REPLACE")


def if_not_exists(text: str) -> str:
    """`CREATE TABLE x ..` as `CREATE TABLE IF NOT EXISTS x ..`; other statements as they are."""
    words = [token.text.upper() for token in tokenize(text)[:3] if token.text.upper() != "SOURCE"]
    return _after(text, words[1], "IF NOT EXISTS") if words[0] == "CREATE" else text


def _after(text: str, word: str, more: str) -> str:
    for token in tokenize(text):
        if token.kind is Lexeme.word and token.text.upper() == word:
            at = token.start + len(token.text)
            return f"{text[:at]} {more}{text[at:]}"
    return text


def exit_code(steps: Sequence[Step]) -> int:
    """0 nothing to do, 3 something pending, 4 drift or refused."""
    actions = {step.action for step in steps}
    if Action.refused in actions or any(action.drift for action in actions):
        return 4
    return 3 if any(action.pending for action in actions) else 0
