"""Executes statements: sends each one and records it in the history, before and after.

To ask for the catalog takes the server longer than most statements, the more the more it has. So what creates something new is
recorded together with what follows it, after one look at the catalog. A run that ends before has recorded that it was sending
them: the next run looks for them on the server before it sends anything.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from app.version import __version__
from migrations.errors import KsqlDbError, MigrationError, PlanRefusedError, RefusedError, UnreachableError
from migrations.ksql.parse.masking import masked
from migrations.ksql.parse.rewrite import if_not_exists
from migrations.ksql.parse.statement import Kind
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
RECORDED_SECONDS = 2.0  # after this time what was executed is recorded, also while more follows
RECORDED_TOGETHER = 50  # statements
ASSERTION = 41700  # the error code of an ASSERT that fails
_GONE = re.compile("does not exist|Unknown queryId|not found", re.IGNORECASE)  # what a DROP or TERMINATE sent again is told
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Sent:
    """A statement that the server has executed, and its entry, which still says that it is being sent."""

    step: Step
    statement: Statement
    entry: Entry


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
        self._sent: list[_Sent] = []
        self._recorded_at = 0.0

    async def execute(self, steps: Sequence[Step]) -> list[Entry]:
        """Send the statements of these steps, in order, unless the server has them already, and record them.

        Returns the new entries. Raises `KsqlDbError` if the server rejects a statement, `RefusedError` if an object appeared
        from elsewhere, and `UnreachableError` if the outcome stays unknown. What was executed before is recorded, unless the
        server is out of reach.
        """
        done: list[Entry] = []
        self._recorded_at = time.monotonic()
        for step in steps:
            if not _creates(step):
                done += await self._record()
            try:
                self._sent.append(await self._send_new(step))
            except (KsqlDbError, RefusedError):
                await self._record()
                raise
            if not _creates(step) or self._must_record():
                done += await self._record()
        return done + await self._record()

    def _must_record(self) -> bool:
        return len(self._sent) >= RECORDED_TOGETHER or time.monotonic() - self._recorded_at > RECORDED_SECONDS

    async def _send_new(self, step: Step) -> _Sent:
        """Send a statement, after an entry that it is being sent."""
        if self._on_progress is not None:
            self._on_progress(step, None)
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
        if step.action is not Action.adopt:
            await self._check_lock()
            await self._writer.write(entry)
            try:
                await self._send(step)
            except (KsqlDbError, RefusedError) as error:
                if isinstance(error, RefusedError) or error.code < SERVER_FAULT:
                    await self._restore(statement.id, step.entry)
                raise
        return _Sent(step, statement, msgspec.structs.replace(entry, duration_ms=int((time.monotonic() - began) * 1_000)))

    async def _record(self) -> list[Entry]:
        """Record what was executed, with the texts that the server has of it. Returns the entries.

        Raises `MigrationError` if the server lacks something of it; the rest is recorded.
        """
        sent, self._sent = self._sent, []
        self._recorded_at = time.monotonic()
        if not sent:
            return []
        traced = any(not one.statement.info.kind.once for one in sent)
        catalog = await self._catalog(self._sequence) if traced else Catalog()
        done: list[Entry] = []
        lacking: list[_Sent] = []
        for one in sent:
            kind, name = one.statement.info.kind, one.statement.name
            text = catalog.text_of(kind, name)
            if text is None and not kind.once:
                lacking.append(one)
                continue
            applied = msgspec.structs.replace(
                one.entry, status=Status.applied, server_text=text or "", query_id=catalog.query_of(kind, name)
            )
            done.append(applied)
        await self._check_lock()
        replaced = [entry for one in sent for entry in await self._replaced(one.statement)]
        await self._writer.write_all(self._target.app_id, [*replaced, *done])
        if self._on_progress is not None:
            steps = {one.step.id: one.step for one in sent}
            for entry in done:
                self._on_progress(steps[entry.id], entry)
        if lacking:
            raise MigrationError(f"{lacking[0].step.id}: the server executed it, but does not have {lacking[0].statement.name}")
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

    async def _send(self, step: Step) -> None:
        """Send the statement until its outcome is known."""
        client = self._target.client
        kind = step.statement.info.kind if step.statement is not None else Kind.other
        properties = step.statement.properties if step.statement is not None else self._plan.properties
        if kind in (Kind.insert_values, Kind.check):
            await self._send_untraceable(step, kind, properties)
            return
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
                if _executed(step, await self._catalog()):
                    log.info("%s: %s; the server has executed it", step.id, error)
                    return
                if not left or rejected:
                    raise
                log.warning("%s: %s; the server has not executed it, sending it again", step.id, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._check_result(step, result, maybe_ours=maybe_ours)
                return
        raise MigrationError(f"{step.id}: not sent")

    async def _send_untraceable(self, step: Step, kind: Kind, properties: Properties) -> None:
        """Send a statement that leaves no trace in the catalog: once, as nothing would tell whether it was executed."""
        try:
            result = await self._target.client.execute(step.text, properties, self._sequence)
            self._check_result(step, result, maybe_ours=True)
        except KsqlDbError as error:
            if kind is Kind.check and error.code == ASSERTION:
                raise PlanRefusedError(error.code, f"{step.id}: {error.text}, as the plan asserts", step.text) from error
            raise

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


def _creates(step: Step) -> bool:
    """Whether a step makes something new and changes nothing else, so that it may be recorded with what follows it.

    An INSERT does not: it adds a query to a source, which the catalog shows with that source's own.
    """
    statement = step.statement
    if statement is None or step.action is not Action.apply or statement.replaces:
        return False
    return statement.info.kind.source or statement.info.kind in (Kind.create_type, Kind.create_connector)


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
