"""What was swapped out: put in its place again by `rollback`, or dropped by `retire`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from migrations.errors import RefusedError
from migrations.ksql.parse.statement import Kind, describe
from migrations.plan.model import Plan
from migrations.run import history
from migrations.run.history import Entry, Status, Writer
from migrations.run.lock import Lock
from migrations.run.runner import LOCK_SECONDS, Target
from migrations.run.swap import OLD


@dataclass(frozen=True)
class _Turn:
    """Ours until the block ends; `old` is what was swapped out of the plan, the last made first."""

    lock: Lock
    writer: Writer
    entries: history.History
    old: list[Entry]


@asynccontextmanager
async def _turn(target: Target, plan: Plan) -> AsyncIterator[_Turn]:
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    async with (
        Lock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        entries = await history.read(target.cluster, target.topic, target.app_id)
        old = [one for one in entries.values() if one.status is Status.replaced and one.plan in ("", plan.name)]
        yield _Turn(lock, writer, entries, sorted(old, key=lambda one: -one.applied_at))


async def roll_back(target: Target, plan: Plan) -> list[str]:
    """Let the old half write again and pause the new one, which then waits for `retire`. Gives what was sent.

    Raises `RefusedError` where nothing was swapped, or something of the old half is gone.
    """
    async with _turn(target, plan) as turn:
        pairs: dict[str, tuple[Entry, Entry]] = {}
        for one in turn.old:  # of several swaps the last
            name = one.id.partition(OLD)[0]
            if name in turn.entries:
                pairs.setdefault(name, (one, turn.entries[name]))
        if not pairs:
            raise RefusedError("nothing was swapped that could be put back")
        catalogue = await target.client.catalogue()
        for old, _ in pairs.values():
            if old.name not in catalogue.queries and old.name not in catalogue.sources:
                raise RefusedError(f"{old.name} is gone from the server, and cannot be put in its place again")
        writers = [pair for pair in pairs.values() if describe(pair[0].text).kind is Kind.insert_select]
        sent = [f"RESUME {old.name};" for old, _ in writers]
        sent += [f"PAUSE {new.name};" for _, new in writers if new.name in catalogue.queries]
        for text in sent:
            await turn.lock.check()
            await target.client.execute(text, {})
        moved = []
        for name, (old, new) in pairs.items():
            moved.append(msgspec.structs.replace(old, id=name, status=Status.applied))
            moved.append(msgspec.structs.replace(new, id=f"{name}{OLD}{new.name}", status=Status.replaced))
        await turn.lock.check()
        await turn.writer.write_all(target.app_id, moved, [old.id for old, _ in pairs.values()])
        return sent


async def retire(target: Target, plan: Plan) -> list[str]:
    """Drop what was swapped out of a plan: writers first, then sources, the last made first; topics stay. What was sent."""
    async with _turn(target, plan) as turn:
        catalogue = await target.client.catalogue()
        sent = [f"TERMINATE {one.name};" for one in turn.old if one.name in catalogue.queries]
        sources = [catalogue.sources[one.name] for one in turn.old if one.name in catalogue.sources]
        sent += [f"DROP {source.kind} `{source.name}`;" for source in sources]
        for text in sent:
            await turn.lock.check()
            await target.client.execute(text, {})
        await turn.writer.write_all(target.app_id, [], [one.id for one in turn.old])
        return sent
