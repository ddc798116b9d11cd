"""Takes over what the server has already: applied under other ids, or made by hand or by another tool. Nothing is sent.

What no history knows must be the same as in the plan. Only the server knows how it writes a statement: so it is asked to check
the plan's statement, which it refuses, as the name exists; and its answer has the statement as it would keep it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from app.version import __version__
from migrations.errors import KsqlDbError, RefusedError
from migrations.ksql.parse.masking import masked
from migrations.ksql.parse.statement import Kind
from migrations.plan.compare import Action, Step, compare
from migrations.plan.definition import definition
from migrations.plan.drops import lives
from migrations.plan.entry import Entry, History, Status
from migrations.plan.model import Plan, Statement, place_of
from migrations.plan.replaced import chains, replaced_later
from migrations.run import history
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.runner import observe
from migrations.run.target import LOCK_SECONDS, SERVER_FAULT, Target
from migrations.server.catalog import Catalog, same_text

_REGISTERED = re.compile(r"is already registered with type: (.*)", re.DOTALL)
_SYNONYMS = {"INT": "INTEGER", "VARCHAR": "STRING", "DEC": "DECIMAL", "NUMERIC": "DECIMAL"}


@dataclass(frozen=True)
class Adopted:
    """An entry that was written, and the one that it replaces; None for what no history knew.

    Both have the same id where a run was interrupted, and the user says that the server has executed the statement.
    """

    taken: Entry
    former: Entry | None


async def adopt(target: Target, plan: Plan) -> list[Adopted]:
    """Give the plan's statements entries for what the server has of them, in one transaction.

    Raises `RefusedError`, before anything is recorded, if the server has something else of one of these names, or its text has
    changed since it was applied.
    """
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    async with (
        ApplyLock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        before, catalog, steps = await observe(target, plan)
        cluster_id = (await target.client.info()).cluster
        drops = await _executed_drops(target, plan, before, catalog, cluster_id)
        adopted = [Adopted(drop, None) for drop in drops.values()]
        if drops:
            steps = compare(plan, {**before, **drops}, catalog)
        moved_later = replaced_later(plan, {step.id for step in steps if step.former is not None})
        for step in steps:
            if step.statement is None:
                continue
            if step.former is not None:
                taken = _moved(plan, step, step.former, step.statement, replaced=step.id in moved_later)
                adopted.append(Adopted(taken, step.former))
            elif step.action is Action.unknown and step.entry is not None:
                done = msgspec.structs.replace(step.entry, status=Status.applied)
                adopted.append(Adopted(done, step.entry))
        adopted += [
            Adopted(entry_of(target, plan, step, step.statement, catalog, cluster_id), None)
            for step in await _same(target, plan, steps)
            if step.statement is not None
        ]
        await lock.check()
        removed = [one.former.id for one in adopted if one.former is not None and one.former.id != one.taken.id]
        await writer.write_all(target.app_id, [one.taken for one in adopted], removed)
        return adopted


async def _executed_drops(target: Target, plan: Plan, before: History, catalog: Catalog, cluster_id: str) -> dict[str, Entry]:
    """Entries of the DROPs that others must have executed, by id: the server has what the plan makes after them.

    Of what a plan makes several times, it is the last one that the server has.
    """
    found: dict[str, Entry] = {}
    for drops in lives(plan):
        for number in range(len(drops), 0, -1):
            told = [
                entry_of(target, plan, Step(one.id, one.name, Action.adopt, "", one), one, catalog, cluster_id)
                for one in drops[:number]
                if one.id not in before
            ]
            assumed = {entry.id: entry for entry in told}
            last = drops[number - 1]
            steps = compare(plan, {**before, **found, **assumed}, catalog)
            made = [one for one in steps if one.statement is not None and place_of(one.statement) == place_of(last)]
            if assumed and any(one.foreign for one in made) and await _is_same(target, plan, made):
                found |= assumed
                break
    return found


async def _is_same(target: Target, plan: Plan, steps: Sequence[Step]) -> bool:
    try:
        await _same(target, plan, steps)
    except RefusedError:
        return False
    return True


async def _same(target: Target, plan: Plan, steps: Sequence[Step]) -> list[Step]:
    """The steps of what the server has by other hands, and of what that has replaced.

    Raises `RefusedError` if the server has something else of one of these names.
    """
    found: list[Step] = []
    in_turn = chains(plan, {step.id for step in steps if step.foreign})
    for step in steps:
        if step.foreign and step.statement is not None and not any(step.id in chain for chain in in_turn):
            await check_same(target, step, step.statement)
            found.append(step)
    by_id = {step.id: step for step in steps}
    for chain in in_turn:
        found += await _made(target, [by_id[statement_id] for statement_id in chain])
    return found


async def _made(target: Target, chain: list[Step]) -> list[Step]:
    """The step of the statement that made what the server has, and those before it, which it replaced: these as replaced.

    `chain` are statements that make one stream or table in turn, the last one first. Raises `RefusedError` if none of them is
    what the server has.
    """
    refusals = []
    for number, step in enumerate(chain):
        if step.statement is None:
            continue
        try:
            await check_same(target, step, step.statement)
        except RefusedError as refusal:
            refusals.append(refusal)
        else:
            return [*(replace(one, server_text="", replaced=True) for one in reversed(chain[number + 1 :])), step]
    raise refusals[0]


def _moved(plan: Plan, step: Step, former: Entry, statement: Statement, *, replaced: bool) -> Entry:
    if not replaced and not same_text(step.server_text or "", former.server_text):
        raise RefusedError(
            f"{step.id} ({step.name}): the server's text is not the one it had after it was applied as {former.id}"
        )
    return msgspec.structs.replace(former, id=step.id, hash=statement.hash, plan=plan.name)


def entry_of(target: Target, plan: Plan, step: Step, statement: Statement, catalog: Catalog, cluster_id: str) -> Entry:
    """The entry of a statement that others have executed, with what the server has of it."""
    return Entry(
        id=statement.id,
        hash=statement.hash,
        name=step.name,
        text=masked(statement.text),
        server_text=step.server_text or "",
        query_id="" if step.replaced else catalog.query_of(statement.info.kind, step.name),
        status=Status.applied,
        app_id=target.app_id,
        app_version=__version__,
        user=target.user,
        cluster_id=cluster_id,
        plan=plan.name,
        applied_at=int(time.time() * 1_000),
    )


async def check_same(target: Target, step: Step, statement: Statement) -> None:
    """Raises `RefusedError` if what the server has under this name is not what the statement creates."""
    kept = step.server_text or ""
    if statement.info.kind is Kind.insert_select:  # the server keeps its text as it was sent
        if definition(kept) != definition(statement.text):
            raise _other(step, "")
        return
    try:
        await target.client.validate([statement.text], statement.properties)
    except KsqlDbError as error:
        registered = _REGISTERED.search(error.text)
        if registered is not None:
            same = _type(registered[1]) == _type(definition(statement.text).partition(" AS ")[2])
        elif "with the same name already exists" in error.text:
            same = definition(error.statement) == definition(kept)
        elif error.code >= SERVER_FAULT and "different partition" not in error.text:
            raise
        else:
            raise _other(step, f" ({error.text})") from error
        if not same:
            raise _other(step, "") from None
    else:
        raise RefusedError(f"{step.id}: {step.name} was there, and is not any more: run it again")


def _other(step: Step, more: str) -> RefusedError:
    return RefusedError(
        f"{step.id}: the server's {step.name} is another than the plan's{more}: `app migrate diff` shows both; "
        f"set the plan's text to the server's, or drop {step.name}"
    )


def _type(text: str) -> str:
    """A type without differences of quotes, spaces and synonyms."""
    words = re.findall(r"\w+|[^\w\s`]", text)
    return " ".join(_SYNONYMS.get(word.upper(), word.upper()) for word in words)
