"""The old half of a swap: `roll_back` puts it back in its place, `retire` drops it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from migrations.errors import RefusedError
from migrations.ksql.parse.statement import Kind, describe_executed
from migrations.plan.drops import dropped_later
from migrations.plan.entry import OLD, Entry, History, Status
from migrations.plan.model import Plan
from migrations.plan.order import ordered
from migrations.plan.rename import current_names, renamed
from migrations.run import history
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.target import LOCK_SECONDS, Target
from migrations.server.catalog import Catalog


@dataclass(frozen=True)
class _LockedHistory:
    """The lock, a writer and the entries. `replaced` are those of the plan that were swapped out, the newest first."""

    lock: ApplyLock
    writer: Writer
    entries: History
    replaced: list[Entry]

    async def execute(self, target: Target, texts: Sequence[str]) -> None:
        """Send statements, each one only while the lock is held."""
        for text in texts:
            await self.lock.check()
            await target.client.execute(text, {})


@asynccontextmanager
async def _locked_history(target: Target, plan: Plan) -> AsyncIterator[_LockedHistory]:
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    async with (
        ApplyLock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        entries = await history.read(target.cluster, target.topic, target.app_id)
        replaced = [entry for entry in entries.values() if entry.status is Status.replaced and entry.plan in ("", plan.name)]
        yield _LockedHistory(lock, writer, entries, sorted(replaced, key=lambda entry: (-entry.replaced_at, -entry.applied_at)))


async def roll_back(target: Target, plan: Plan) -> list[str]:
    """Let the old half write again and pause the new one, which `retire` then drops. Returns the statements sent.

    Raises `RefusedError` if nothing was swapped, something of the old half is gone, or the plan has dropped the new one.
    """
    async with _locked_history(target, plan) as locked:
        pairs: dict[str, tuple[Entry, Entry]] = {}
        for entry in locked.replaced:  # after several swaps, the newest counts
            statement_id = entry.id.partition(OLD)[0]
            if statement_id in locked.entries:
                pairs.setdefault(statement_id, (entry, locked.entries[statement_id]))
        if not pairs:
            raise RefusedError("nothing was swapped that could be put back")
        dropped = dropped_later(renamed(plan, current_names(plan, locked.entries)))
        for statement_id, (old, new) in pairs.items():
            drop = dropped.get(statement_id)
            if drop is not None and drop.id in locked.entries:
                raise RefusedError(f"{drop.id} has ended {new.name} since: {old.name} cannot be put back; `retire` drops it")
        catalog = await target.client.catalog()
        for old, _ in pairs.values():
            if old.name not in catalog.queries and old.name not in catalog.sources:
                raise RefusedError(f"{old.name} is gone from the server, and cannot be put in its place again")
        inserts = [pair for pair in pairs.values() if describe_executed(pair[0].text).kind is Kind.insert_select]
        sent = [f"RESUME {old.name};" for old, _ in inserts]
        sent += [f"PAUSE {new.name};" for _, new in inserts if new.name in catalog.queries]
        await locked.execute(target, sent)
        moved = []
        now = int(time.time() * 1_000)
        for statement_id, (old, new) in pairs.items():
            moved.append(msgspec.structs.replace(old, id=statement_id, status=Status.applied))
            aside_id = f"{statement_id}{OLD}{new.name}"
            moved.append(msgspec.structs.replace(new, id=aside_id, status=Status.replaced, replaced_at=now))
        await locked.lock.check()
        await locked.writer.write_all(target.app_id, moved, [old.id for old, _ in pairs.values()])
        return sent


def _check_unused(locked: _LockedHistory, catalog: Catalog, *, readers_moved: bool) -> None:
    """Raises `RefusedError` if something reads what is to be dropped, or may read it."""
    own = {name for entry in locked.replaced for name in (entry.query_id, entry.name)}
    for entry in locked.replaced:
        source = catalog.sources.get(entry.name)
        successor = locked.entries.get(entry.id.partition(OLD)[0])
        instead = f" {successor.name}" if successor is not None else " another"
        if source is None:
            continue
        if readers := sorted(set(source.readers) - own):
            raise RefusedError(
                f"query {', '.join(readers)} still reads from {entry.name}: let it read from{instead}, or end it, "
                "before `retire`"
            )
        if source.queryable and not readers_moved:
            raise RefusedError(
                f"{entry.name} answers pull queries, and the server does not tell whose: see to it that all ask{instead}, "
                "then `app migrate retire --readers-moved`"
            )


async def retire(target: Target, plan: Plan, *, readers_moved: bool = False) -> list[str]:
    """Drop what was swapped out of a plan: first the INSERT queries, then the sources, the newest first.

    What reads from one of the sources is dropped before it. Topics are not deleted. Returns the statements sent. Raises
    `RefusedError`, before anything is sent, while another query reads from one of the sources, and for a table that may be
    asked by pull queries unless the caller says that its `readers_moved`.
    """
    async with _locked_history(target, plan) as locked:
        catalog = await target.client.catalog()
        _check_unused(locked, catalog, readers_moved=readers_moved)
        sent = [f"TERMINATE {entry.name};" for entry in locked.replaced if entry.name in catalog.queries]
        sources = [catalog.sources[entry.name] for entry in locked.replaced if entry.name in catalog.sources]
        in_order = ordered(sources, lambda one, other: not set(one.readers).isdisjoint(other.queries))
        sent += [f"DROP {source.kind} `{source.name}`;" for source in in_order]
        await locked.execute(target, sent)
        await locked.writer.write_all(target.app_id, [], [entry.id for entry in locked.replaced])
        return sent
