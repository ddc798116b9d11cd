"""The steps of a run: the plan compared with the history and the server's catalog. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from migrations.ksql.parse.rewrite import or_replace
from migrations.ksql.parse.statement import Kind
from migrations.plan.definition import definition
from migrations.plan.drops import dropped_before, dropped_later
from migrations.plan.entry import NEW, Entry, History, Status
from migrations.plan.model import Plan, Statement
from migrations.plan.moved import executed_before, unchanged
from migrations.plan.rename import current_names, renamed, why_aside, why_new
from migrations.plan.replaced import replaced_before, replaced_later
from migrations.server.catalog import Catalog, same_text


class Action(StrEnum):
    """What to do about one statement."""

    done = "done"
    apply = "apply"
    adopt = "adopt"  # a crashed run sent it and the server has it: only the history lacks it
    alter = "alter"  # send it as CREATE OR REPLACE
    refused = "refused"
    missing = "missing"  # drift: it was applied, and the server no longer has it
    differs = "differs"  # drift: the server's text has changed
    unknown = "unknown"  # a run ended while it was executed, and nothing tells whether it was
    left = "left"  # in the history, but no longer in the plan

    @property
    def pending(self) -> bool:
        """Whether `apply` acts on it."""
        return self in (Action.apply, Action.adopt, Action.alter)

    @property
    def drift(self) -> bool:
        """Whether the server does not match the history."""
        return self in (Action.missing, Action.differs, Action.unknown)

    @property
    def repairable(self) -> bool:
        """Whether `apply --repair` executes it again."""
        return self in (Action.missing, Action.unknown)


@dataclass(frozen=True)
class Step:
    """One statement, the action, and the reason. `statement` is None for an entry that the plan no longer has."""

    id: str
    name: str
    action: Action
    why: str
    statement: Statement | None = None
    entry: Entry | None = None
    server_text: str | None = None
    former: Entry | None = None  # of the same statement under another id, which `adopt` takes over
    foreign: bool = False  # the server has what it creates, and no history knows it: `adopt` takes it over if it is the same
    replaced: bool = False  # a later statement has replaced what it made, or taken it away: the server has nothing to compare

    @property
    def text(self) -> str:
        """The text to be sent."""
        if self.statement is None:
            return ""
        replaces = self.action is Action.alter or (self.action is Action.apply and self.statement.replaces)
        return or_replace(self.statement.text) if replaces else self.statement.text


def compare(plan: Plan, history: History, catalog: Catalog | None) -> list[Step]:
    """A step for each statement of the plan, in order, then one for each entry that the plan no longer has.

    Without a catalog, only the history is compared.
    """
    names = current_names(plan, history)
    planned = {statement.id for statement in plan.statements}
    others = [entry for entry in history.values() if entry.id not in planned and entry.status is Status.applied]
    strangers = {} if catalog is None else _strangers(catalog, history)
    current = renamed(plan, names)
    dropped, freed = dropped_later(current), dropped_before(current)
    formers = executed_before(plan, history, others)
    later, before = replaced_later(plan, history.keys()), replaced_before(plan, history.keys())
    steps = []
    for statement in current.statements:
        entry, drop = history.get(statement.id), dropped.get(statement.id)
        if statement.id in later:
            steps.append(_replaced(statement, entry, later[statement.id]))
        elif statement.id in formers:
            steps.append(_moved(statement, formers[statement.id]))
        elif drop is not None and (drop.id in formers or _is_applied(drop, history) or _has_dropped(drop, history, catalog)):
            steps.append(
                Step(statement.id, statement.name, Action.done, f"dropped since, by {drop.id}", statement, entry, replaced=True)
            )
        elif entry is None and any(
            one.id not in formers and not _is_applied(one, history) for one in freed.get(statement.id, ())
        ):
            steps.append(Step(statement.id, statement.name, Action.apply, "new, after a DROP of the former one", statement))
        elif entry is None and statement.id in before:
            steps.append(_replacing(statement, before[statement.id], catalog))
        else:
            steps.append(_step(statement, entry, catalog, others, strangers))
    left = [_left(entry, history, planned) for entry in history.values() if entry.plan in ("", plan.name)]
    return [*steps, *(step for step in left if step is not None)]


def _moved(statement: Statement, former: Entry, server_text: str | None = None) -> Step:
    """The step of a statement that was applied under another id."""
    plan = f" of the plan {former.plan}" if former.plan else ""
    more = "; to execute it once more, keep the former one in the plan" if statement.info.kind.once else ""
    why = f"applied before as {former.id}{plan}: `migrate adopt` takes it over{more}"
    return Step(statement.id, statement.name, Action.refused, why, statement, None, server_text, former)


def _left(entry: Entry, history: History, planned: Collection[str]) -> Step | None:
    """The step of an entry that the plan no longer has, or that a swap has made; None for one of the plan."""
    if entry.status is Status.replaced:
        return Step(entry.id, entry.name, Action.left, why_aside(entry, history))
    if NEW in entry.id:
        return Step(entry.id, entry.name, Action.left, why_new(entry, history))
    if entry.id in planned:
        return None
    why = "applied once, no longer in the plan: it stays"
    return Step(entry.id, entry.name, Action.left, why, entry=entry, server_text=entry.server_text)


def _replaced(statement: Statement, entry: Entry | None, later: Statement) -> Step:
    """The step of a statement whose object a later one has replaced."""
    if entry is not None and not unchanged(statement, entry):
        why = f"changed, and {later.id} has replaced what it made: set its text back, and change {later.id} instead"
        return Step(statement.id, statement.name, Action.refused, why, statement, entry, replaced=True)
    return Step(statement.id, statement.name, Action.done, f"replaced since, by {later.id}", statement, entry, replaced=True)


def _replacing(statement: Statement, before: Statement, catalog: Catalog | None) -> Step:
    """The step of a new statement that replaces what an applied one has made."""
    server_text = None if catalog is None else catalog.text_of(statement.info.kind, statement.name)
    action, why = Action.apply if server_text is None else Action.alter, f"new: it replaces what {before.id} made"
    if statement.info.kind is Kind.create_table_as and statement.info.windowed:
        action = Action.refused
        why = (
            f"a windowed aggregation cannot be replaced without losing its windows: give the new one another name, or change "
            f"{before.id} itself, leave this one out, and `apply --force-new-name`"
        )
    return Step(statement.id, statement.name, action, why, statement, None, server_text)


def _is_applied(statement: Statement, history: History) -> bool:
    entry = history.get(statement.id)
    return entry is not None and entry.status is Status.applied


def _has_dropped(statement: Statement, history: History, catalog: Catalog | None) -> bool:
    """Whether a run was interrupted after the server executed this DROP or TERMINATE."""
    info = statement.info
    return statement.id in history and catalog is not None and not catalog.has(info.what, info.name)


def _strangers(catalog: Catalog, history: History) -> dict[str, str]:
    """Ids of INSERT queries that no history knows, by what they do."""
    known = {entry.query_id for entry in history.values()} | {entry.name for entry in history.values()}
    texts = {name: text for name, text in catalog.queries.items() if name not in known and text[:6].upper() == "INSERT"}
    return {definition(text): name for name, text in texts.items()}


def _step(
    statement: Statement,
    entry: Entry | None,
    catalog: Catalog | None,
    others: Sequence[Entry],
    strangers: Mapping[str, str],
) -> Step:
    if statement.info.kind.once:
        action, why = _once(statement, entry, catalog)
        return Step(statement.id, statement.name, action, why, statement, entry)
    server_text = None if catalog is None else catalog.text_of(statement.info.kind, statement.name)
    if entry is None and server_text is not None:
        same_name = [one for one in others if one.name == statement.name]
        former = next((one for one in reversed(same_name) if unchanged(statement, one)), None)
        if former is not None:
            return _moved(statement, former, server_text)
        if same_name:
            why = f"applied before as {same_name[0].id}, with another text: adopt that text first, or drop {statement.name}"
            return Step(statement.id, statement.name, Action.refused, why, statement, None, server_text)
    if entry is None and catalog is not None and statement.info.kind is Kind.insert_select and server_text is None:
        twin = strangers.get(definition(statement.text), "") if strangers else ""
        if twin:
            why = f"the server's query {twin} does the same: `migrate adopt` takes it over; a second one writes all rows again"
            return Step(statement.id, twin, Action.refused, why, statement, None, catalog.queries[twin], foreign=True)
    action, why = _action(statement, entry, catalog, server_text)
    foreign = entry is None and server_text is not None
    return Step(statement.id, statement.name, action, why, statement, entry, server_text, foreign=foreign)


def _once(statement: Statement, entry: Entry | None, catalog: Catalog | None) -> tuple[Action, str]:
    """The action for a statement that is executed once: nothing on the server is compared with it later."""
    info = statement.info
    if entry is None:
        why = f"new: it takes {info.name} away, with `--allow-destructive` only" if info.kind.destructive else "new"
        return Action.apply, why
    if entry.status is not Status.sending:
        if unchanged(statement, entry):
            return Action.done, f"executed once, {entry.hash.rpartition(':')[2][:8]}"
        return Action.refused, "changed: it was executed once, and is not again; write a further statement after it instead"
    if info.kind is Kind.insert_values:
        why = (
            f"a run was interrupted while it was sent: see whether {info.name} has the row; "
            "`migrate adopt` records it as done, `apply --repair` sends it"
        )
        return Action.unknown, why
    if info.kind.destructive and catalog is not None and not catalog.has(info.what, info.name):
        return Action.adopt, "a run was interrupted after the server executed it"
    return Action.apply, "a run was interrupted while it was sent, and the server has not executed it"


def _action(  # noqa: PLR0911  # one return per case
    statement: Statement, entry: Entry | None, catalog: Catalog | None, server_text: str | None
) -> tuple[Action, str]:
    if entry is None:
        if server_text is None:
            return Action.apply, "new"
        why = (
            f"the server has {statement.name} already, and not by this plan: `migrate adopt` takes it over if it is the same; "
            "else drop it, or leave it out of the plan"
        )
        return Action.refused, why
    if entry.status is Status.sending and (server_text is not None or not entry.server_text):
        return _after_interruption(statement, entry, server_text)
    if catalog is not None and server_text is None:
        return Action.missing, "it was applied and is gone from the server; `apply --repair` creates it again"
    changed = not unchanged(statement, entry)
    if catalog is not None and statement.info.kind.source and entry.query_id and entry.query_id not in catalog.queries:
        why = f"its query {entry.query_id} is gone, so it processes nothing: drop {statement.name}, then `apply --repair`"
        return Action.differs, why
    if server_text is not None and not same_text(server_text, entry.server_text):
        why = "the server's text is not the one it had after it was applied"
        more = ", and the plan has changed too: settle the former first, or the latter overwrites it unseen" if changed else ""
        return Action.differs, why + more
    if changed:
        return _after_change(statement)
    return Action.done, f"applied {entry.hash.rpartition(':')[2][:8]}"


def _after_interruption(statement: Statement, entry: Entry, server_text: str | None) -> tuple[Action, str]:
    """The action for a statement that was being sent when a run ended."""
    if server_text is None:
        return Action.apply, "a run was interrupted before the server executed it"
    if entry.server_text and same_text(server_text, entry.server_text):
        return Action.alter, "a run was interrupted before the server altered it"
    if not unchanged(statement, entry):
        return Action.refused, f"a run was interrupted while it created another {statement.name}: set that text back first"
    return Action.adopt, "a run was interrupted after the server executed it"


def _after_change(statement: Statement) -> tuple[Action, str]:
    """The action for a statement whose text in the plan has changed since it was applied."""
    info = statement.info
    if info.kind is Kind.create_table_as and info.windowed:
        why = (
            "a windowed aggregation cannot be altered without losing its windows; "
            "`apply --force-new-name` builds the new one beside it"
        )
        return Action.refused, why
    if info.kind.source:
        return Action.alter, "changed: CREATE OR REPLACE, which the server checks first"
    if info.kind is Kind.insert_select:
        return Action.refused, "changed: a running query cannot be altered; give the new one another QUERY_ID and id"
    if info.kind is Kind.create_connector:
        return (
            Action.refused,
            "changed: KSQL cannot alter a connector; DROP it in a destructive file, then create it in a further one",
        )
    return Action.refused, "changed: a type cannot be altered; give the new one another name and id"


def exit_code(steps: Sequence[Step]) -> int:
    """0: nothing to do; 3: something is pending; 4: drift, or something is refused."""
    actions = {step.action for step in steps}
    if Action.refused in actions or any(action.drift for action in actions):
        return 4
    return 3 if any(action.pending for action in actions) else 0
