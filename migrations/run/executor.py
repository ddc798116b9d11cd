"""Executes single statements: sends each one and records it in the history, before and after."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from app.version import __version__
from migrations.errors import KsqlDbError, MigrationError, PlanRefusedError, RefusedError, UnreachableError
from migrations.ksql.parse.masking import masked
from migrations.ksql.parse.statement import Kind, if_not_exists
from migrations.plan.compare import Action, Step
from migrations.plan.entry import Entry, Status
from migrations.plan.model import Plan, Statement
from migrations.plan.replaced import without_queries
from migrations.run import history
from migrations.run.history import Writer
from migrations.run.target import SERVER_FAULT, Progress, Target
from migrations.server.catalog import Catalog
from migrations.server.client import ExecutionResult, Properties

TRIES = 4  # of a statement whose outcome is unknown
RETRY_SECONDS = 1.0
ASSERTION = 41700  # the error code of an ASSERT that fails
_GONE = re.compile("does not exist|Unknown queryId|not found", re.IGNORECASE)  # what a DROP or TERMINATE sent again is told
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
        if statement.replaces and step.action in (Action.apply, Action.alter):
            step = await self._replacing(step, statement)
        if not self._cluster_id:
            self._cluster_id = (await target.client.info()).cluster
        entry = Entry(
            id=statement.id,
            hash=statement.hash,
            name=statement.name,
            text=masked(step.text),
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
            catalog = await self._catalog()
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
        if server_text is None and not statement.info.kind.once:
            raise MigrationError(f"{step.id}: the server executed it, but does not have {statement.name}")
        done = msgspec.structs.replace(
            entry,
            status=Status.applied,
            server_text=server_text or "",
            query_id=catalog.query_of(statement.info.kind, statement.name),
            duration_ms=int((time.monotonic() - began) * 1_000),
        )
        await self._check_lock()
        if replaced := await self._replaced(statement):
            await self._writer.write_all(target.app_id, [*replaced, done])
        else:
            await self._writer.write(done)
        return done

    async def _replaced(self, statement: Statement) -> list[Entry]:
        """New entries for what the statement has replaced, this run's included: the query is the statement's now."""
        if not statement.replaces:
            return []
        entries = await history.read(self._target.cluster, self._target.topic, self._target.app_id)
        return without_queries(self._plan, entries, [statement.id])

    async def _replacing(self, step: Step, statement: Statement) -> Step:
        """The step as an alteration of what the server has now: this run may have made or replaced it since the comparison."""
        server_text = (await self._catalog(self._sequence)).text_of(statement.info.kind, statement.name)
        if server_text is None:
            return step
        return replace(step, action=Action.alter, server_text=server_text)

    async def _send(self, step: Step) -> Catalog:
        """Send the statement until its outcome is known. Returns the catalog after it."""
        client = self._target.client
        kind = step.statement.info.kind if step.statement is not None else Kind.other
        properties = step.statement.properties if step.statement is not None else self._plan.properties
        if kind in (Kind.insert_values, Kind.check):
            return await self._send_untraceable(step, kind, properties)
        # whether the server may have the object from us, after an attempt of this or an earlier run
        maybe_ours = step.entry is not None and step.entry.status is Status.sending
        adds = self._idempotent and step.action is not Action.alter and not (step.statement and step.statement.replaces)
        text = if_not_exists(step.text) if adds else step.text
        for left in range(TRIES - 1, -1, -1):
            try:
                result = await client.execute(text, properties, self._sequence)
            except (UnreachableError, KsqlDbError) as error:
                rejected = isinstance(error, KsqlDbError) and error.code < SERVER_FAULT
                if isinstance(error, KsqlDbError) and rejected:
                    _check_rejection(step, kind, error, maybe_ours=maybe_ours)
                maybe_ours = True
                catalog = await self._catalog()
                if _executed(step, catalog):
                    log.info("%s: %s; the server has executed it", step.id, error)
                    return catalog
                if not left or rejected:
                    raise
                log.warning("%s: %s; the server has not executed it, sending it again", step.id, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._check_result(step, result, maybe_ours=maybe_ours)
                return await self._catalog(self._sequence)
        raise MigrationError(f"{step.id}: not sent")

    async def _send_untraceable(self, step: Step, kind: Kind, properties: Properties) -> Catalog:
        """Send a statement that leaves no trace in the catalog: once, as nothing would tell whether it was executed."""
        try:
            result = await self._target.client.execute(step.text, properties, self._sequence)
            self._check_result(step, result, maybe_ours=True)
        except KsqlDbError as error:
            if kind is Kind.check and error.code == ASSERTION:
                raise PlanRefusedError(error.code, f"{step.id}: {error.text}, as the plan asserts", step.text) from error
            raise
        return Catalog()

    async def _catalog(self, after: int | None = None) -> Catalog:
        return await self._target.client.catalog(after, connectors=self._plan.connectors)

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


def _check_rejection(step: Step, kind: Kind, error: KsqlDbError, *, maybe_ours: bool) -> None:
    """Raises the error, unless the server rejects the statement because an earlier attempt has executed it."""
    if kind.destructive:
        if not maybe_ours or _GONE.search(error.text) is None:
            raise error
    elif "already exists" not in error.text:
        raise error
    elif not maybe_ours:
        raise RefusedError(f"{step.id}: {error}: another client created it while this plan was applied") from error


def _executed(step: Step, catalog: Catalog) -> bool:
    """Whether the server has executed the step: it has the object, or for an alteration another text of it."""
    if step.statement is None:
        return False
    info = step.statement.info
    if info.kind.destructive:
        return not catalog.has(info.what, info.name)
    server_text = catalog.text_of(info.kind, step.statement.name)
    return server_text is not None and (step.action is not Action.alter or server_text != step.server_text)
