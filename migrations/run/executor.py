"""Executes single statements: sends each one and records it in the history, before and after."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from app.version import __version__
from migrations.errors import KsqlDbError, MigrationError, RefusedError, UnreachableError
from migrations.plan.compare import Action, Step, if_not_exists
from migrations.plan.entry import Entry, Status
from migrations.plan.model import Plan
from migrations.run.history import Writer
from migrations.run.target import SERVER_FAULT, Progress, Target
from migrations.server.catalog import Catalog
from migrations.server.client import ExecutionResult

TRIES = 4  # of a statement whose outcome is unknown
RETRY_SECONDS = 1.0
log = logging.getLogger(__name__)


class Executor:
    """Executes the statements of one run, one at a time.

    `check_lock` raises `LockLostError` when the run has lost the lock. `idempotent` sends IF NOT EXISTS.
    """

    def __init__(
        self,
        target: Target,
        plan: Plan,
        check_lock: Callable[[], Awaitable[None]],
        writer: Writer,
        *,
        idempotent: bool = False,
        on_progress: Progress | None = None,
    ) -> None:
        self._target = target
        self._plan = plan
        self._check_lock = check_lock
        self._writer = writer
        self._idempotent = idempotent
        self._on_progress = on_progress
        self._sequence: int | None = None
        self._cluster_id = ""

    async def execute(self, step: Step) -> Entry:
        """Send the step's statement, unless the server has it already, and record it. Returns the new entry.

        Raises `KsqlDbError` if the server rejects it, `RefusedError` if the object appeared from elsewhere, and
        `UnreachableError` if the outcome stays unknown.
        """
        if self._on_progress is not None:
            self._on_progress(step, None)
        entry = await self._execute(step)
        if self._on_progress is not None:
            self._on_progress(step, entry)
        return entry

    async def _execute(self, step: Step) -> Entry:
        statement, target = step.statement, self._target
        if statement is None:
            raise MigrationError(f"{step.id}: the plan does not have it")
        if not self._cluster_id:
            self._cluster_id = (await target.client.info()).cluster
        entry = Entry(
            id=statement.id,
            hash=statement.hash,
            name=statement.name,
            text=step.text,
            status=Status.sending,
            app_id=target.app_id,
            app_version=__version__,
            user=target.user,
            cluster_id=self._cluster_id,
            plan=self._plan.name,
            applied_at=int(time.time() * 1_000),
            server_text=step.server_text or "" if step.action is Action.alter else "",
        )
        began = time.monotonic()
        if step.action is Action.adopt:
            catalog = await target.client.catalog()
        else:
            await self._check_lock()
            await self._writer.write(entry)
            try:
                catalog = await self._send(step)
            except (KsqlDbError, RefusedError) as error:
                if isinstance(error, RefusedError) or error.code < SERVER_FAULT:
                    await self._restore(statement.id, step.entry)
                raise
        server_text = catalog.text_of(statement.info.kind, statement.name)
        if server_text is None:
            raise MigrationError(f"{step.id}: the server executed it, but does not have {statement.name}")
        done = msgspec.structs.replace(
            entry,
            status=Status.applied,
            server_text=server_text,
            query_id=catalog.query_of(statement.info.kind, statement.name),
            duration_ms=int((time.monotonic() - began) * 1_000),
        )
        await self._check_lock()
        await self._writer.write(done)
        return done

    async def _send(self, step: Step) -> Catalog:
        """Send the statement until its outcome is known. Returns the catalog after it."""
        client = self._target.client
        # whether the server may have the object from us, after an attempt of this or an earlier run
        maybe_ours = step.entry is not None and step.entry.status is Status.sending
        text = if_not_exists(step.text) if self._idempotent and step.action is not Action.alter else step.text
        for left in range(TRIES - 1, -1, -1):
            try:
                result = await client.execute(text, self._plan.properties, self._sequence)
            except (UnreachableError, KsqlDbError) as error:
                rejected = isinstance(error, KsqlDbError) and error.code < SERVER_FAULT
                if isinstance(error, KsqlDbError) and rejected:
                    if "already exists" not in error.text:
                        raise
                    if not maybe_ours:
                        raise RefusedError(
                            f"{step.id}: {error}: another client created it while this plan was applied"
                        ) from error
                maybe_ours = True
                catalog = await client.catalog()
                if _executed(step, catalog):
                    log.info("%s: %s; the server has it", step.id, error)
                    return catalog
                if not left or rejected:
                    raise
                log.warning("%s: %s; the server does not have it, sending it again", step.id, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._check_result(step, result, maybe_ours=maybe_ours)
                return await client.catalog(self._sequence)
        raise MigrationError(f"{step.id}: not sent")

    def _check_result(self, step: Step, result: ExecutionResult, *, maybe_ours: bool) -> None:
        """Raises `RefusedError` if IF NOT EXISTS found an object that was not there when the plan was compared."""
        if result.sequence >= 0:
            self._sequence = result.sequence
        if result.warning and not maybe_ours:
            raise RefusedError(f"{step.id}: {result.warning} Another client created it while this plan was applied")

    async def _restore(self, statement_id: str, before: Entry | None) -> None:
        """Undo the entry of a statement that the server rejected: an object that appears there later is not ours."""
        kept, removed = ([before], []) if before is not None else ([], [statement_id])
        await self._writer.write_all(self._target.app_id, kept, removed)


def _executed(step: Step, catalog: Catalog) -> bool:
    """Whether the server has executed the step: it has the object, or for an alteration another text of it."""
    if step.statement is None:
        return False
    server_text = catalog.text_of(step.statement.info.kind, step.statement.name)
    return server_text is not None and (step.action is not Action.alter or server_text != step.server_text)
