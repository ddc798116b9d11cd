"""The old half of a swap: `roll_back` puts it back in its place, `retire` drops it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from migrations.errors import RefusedError
from migrations.ksql.parse.statement import Kind, describe
from migrations.plan.entry import Entry, History, Status
from migrations.plan.model import Plan
from migrations.run import history
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.swap import OLD
from migrations.run.target import LOCK_SECONDS, Target


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
        yield _LockedHistory(lock, writer, entries, sorted(replaced, key=lambda entry: -entry.applied_at))


async def roll_back(target: Target, plan: Plan) -> list[str]:
    """Let the old half write again and pause the new one, which `retire` then drops. Returns the statements sent.

    Raises `RefusedError` if nothing was swapped, or something of the old half is gone.
    """
    async with _locked_history(target, plan) as locked:
        pairs: dict[str, tuple[Entry, Entry]] = {}
        for entry in locked.replaced:  # after several swaps, the newest counts
            statement_id = entry.id.partition(OLD)[0]
            if statement_id in locked.entries:
                pairs.setdefault(statement_id, (entry, locked.entries[statement_id]))
        if not pairs:
            raise RefusedError("nothing was swapped that could be put back")
        catalog = await target.client.catalog()
        for old, _ in pairs.values():
            if old.name not in catalog.queries and old.name not in catalog.sources:
                raise RefusedError(f"{old.name} is gone from the server, and cannot be put in its place again")
        inserts = [pair for pair in pairs.values() if describe(pair[0].text).kind is Kind.insert_select]
        sent = [f"RESUME {old.name};" for old, _ in inserts]
        sent += [f"PAUSE {new.name};" for _, new in inserts if new.name in catalog.queries]
        await locked.execute(target, sent)
        moved = []
        for statement_id, (old, new) in pairs.items():
            moved.append(msgspec.structs.replace(old, id=statement_id, status=Status.applied))
            moved.append(msgspec.structs.replace(new, id=f"{statement_id}{OLD}{new.name}", status=Status.replaced))
        await locked.lock.check()
        await locked.writer.write_all(target.app_id, moved, [old.id for old, _ in pairs.values()])
        return sent


async def retire(target: Target, plan: Plan) -> list[str]:
    """Drop what was swapped out of a plan: first the INSERT queries, then the sources, the newest first.

    Topics are not deleted. Returns the statements sent.
    """
    async with _locked_history(target, plan) as locked:
        catalog = await target.client.catalog()
        sent = [f"TERMINATE {entry.name};" for entry in locked.replaced if entry.name in catalog.queries]
        sources = [catalog.sources[entry.name] for entry in locked.replaced if entry.name in catalog.sources]
        sent += [f"DROP {source.kind} `{source.name}`;" for source in sources]
        await locked.execute(target, sent)
        await locked.writer.write_all(target.app_id, [], [entry.id for entry in locked.replaced])
        return sent
