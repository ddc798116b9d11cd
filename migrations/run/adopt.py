"""Takes over what was applied under other ids: a plan's file was renamed, or statements were moved to another plan."""

from __future__ import annotations

import msgspec

from migrations.errors import RefusedError
from migrations.plan.entry import Entry
from migrations.plan.model import Plan
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.runner import observe
from migrations.run.target import LOCK_SECONDS, Target
from migrations.server.catalog import same_text


async def adopt(target: Target, plan: Plan) -> list[tuple[Entry, Entry]]:
    """Give the plan's statements the entries that they have under other ids, in one transaction. Returns both entries of each.

    The statement must be the same, and the server must have it as it was right after it was applied. Nothing is sent. Raises
    `RefusedError` if the server's text has changed, before anything is recorded.
    """
    async with (
        ApplyLock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        _, _, steps = await observe(target, plan)
        moved: list[tuple[Entry, Entry]] = []
        for step in steps:
            if step.former is None or step.statement is None:
                continue
            if not same_text(step.server_text or "", step.former.server_text):
                raise RefusedError(
                    f"{step.id} ({step.name}): the server's text is not the one it had after it was applied as {step.former.id}"
                )
            taken = msgspec.structs.replace(step.former, id=step.id, hash=step.statement.hash, plan=plan.name)
            moved.append((step.former, taken))
        await lock.check()
        await writer.write_all(target.app_id, [taken for _, taken in moved], [former.id for former, _ in moved])
        return moved
