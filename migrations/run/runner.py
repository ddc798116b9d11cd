"""Bring a server to where a plan says: under the lock, checked first, one statement after the other, each recorded.

A statement is recorded as being sent before it is, and as applied after. Whoever finds one being sent asks the server: it is
there, or it is sent now. So a run that is cut off anywhere is finished by the next one, and nothing is executed twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from app.kafka.cluster import Cluster
from app.version import __version__
from migrations.errors import KsqlDbError, MigrationError, PlanRefusedError, RefusedError, UnreachableError
from migrations.plan.compare import Action, Step, compare, if_not_exists
from migrations.plan.model import Plan
from migrations.run import history
from migrations.run.history import Entry, Status, Writer
from migrations.run.lock import SESSION_MS, Lock
from migrations.server.catalog import Catalogue
from migrations.server.client import Executed, KsqlClient

LOCK_SECONDS = 60.0
TRIES = 4  # of a statement of which the server does not know what became
AGAIN_SECONDS = 1.0
SERVER_FAULT = 50000  # from here on an error says nothing about the statement
log = logging.getLogger(__name__)


class Told(Protocol):
    """Hears what happens: before a statement and after it."""

    def __call__(self, step: Step, done: Entry | None) -> None:
        """`done` is None before."""


@dataclass(frozen=True)
class Target:
    """Where to and in whose name."""

    client: KsqlClient
    cluster: Cluster
    topic: str
    app_id: str
    user: str
    replication_factor: int = 1
    session_ms: int = SESSION_MS  # a holder of the lock that died loses it after so long


@dataclass
class Report:
    """What a run found and did; `steps` as they were before it."""

    steps: list[Step]
    applied: list[Entry] = field(default_factory=list)


async def survey(target: Target, plan: Plan) -> list[Step]:
    """Compare plan, history and server; one request to ksqlDB."""
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    entries, catalogue = await asyncio.gather(
        history.read(target.cluster, target.topic, target.app_id), target.client.catalogue()
    )
    steps = compare(plan, entries, catalogue)
    if any(step.action.drift for step in steps):
        here = (await target.client.info()).cluster
        steps = [_elsewhere(step, here) for step in steps]
    return steps


def _elsewhere(step: Step, here: str) -> Step:
    """With the reason of a drift that is none: the history is of another server."""
    if not step.action.drift or step.entry is None or step.entry.cluster_id == here:
        return step
    why = f"it was applied on Kafka cluster {step.entry.cluster_id}, and this server is on {here}: is ksqldb_url the right one?"
    return replace(step, why=f"{why} ({step.why})")


async def apply(
    target: Target,
    plan: Plan,
    *,
    repair: bool = False,
    idempotent: bool = False,
    told: Told | None = None,
    lock_seconds: float = LOCK_SECONDS,
) -> Report:
    """Apply what is pending. Raises `RefusedError` before anything is sent where something must not be done unasked.

    `repair`: make what is gone from the server again; `idempotent`: send IF NOT EXISTS, without believing the answer.
    """
    steps = await survey(target, plan)
    if not _todo(steps, repair=repair):
        return Report(steps)  # nobody needs a lock to do nothing
    async with (
        Lock(target.cluster, target.topic, wait_seconds=lock_seconds, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        steps = await survey(target, plan)  # another runner may have been at it
        report = Report(steps)
        todo = _todo(steps, repair=repair)
        await check_on_server(target, plan, todo)
        run = Run(target, plan, lock.check, writer, idempotent=idempotent)
        for step in todo:
            if told is not None:
                told(step, None)
            entry = await run.one(step)
            report.applied.append(entry)
            if told is not None:
                told(step, entry)
        return report


def _todo(steps: Sequence[Step], *, repair: bool) -> list[Step]:
    """What is to be sent, in order; raises `RefusedError` for what stands in the way."""
    found = []
    for step in steps:
        if step.action is Action.refused or (step.action.drift and not (repair and step.action is Action.missing)):
            raise RefusedError(f"{step.id} ({step.name}): {step.why}")
        if step.action.pending or step.action is Action.missing:
            found.append(step)
    return found


async def check_on_server(target: Target, plan: Plan, todo: Sequence[Step]) -> None:
    """Have the server check what is to be sent; raises `PlanRefusedError` where it would refuse that."""
    texts = [step.text for step in todo if step.action is not Action.adopt]
    if not texts:
        return
    try:
        await target.client.validate(texts, plan.properties)
    except KsqlDbError as error:
        if error.code < SERVER_FAULT and any(step.action is Action.alter for step in todo):
            raise RefusedError(
                f"{error}; what the server cannot alter gets a new name: `apply --force-new-name`, or another statement"
            ) from error
        if error.code >= SERVER_FAULT:
            raise
        said = f"the server would refuse the plan: {error.text}"
        raise PlanRefusedError(error.code, said, error.statement) from error


class Run:
    """Sends and records, one at a time."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        check: Callable[[], Awaitable[None]],
        writer: Writer,
        *,
        idempotent: bool = False,
    ) -> None:
        self._target = target
        self._plan = plan
        self._check = check
        self._writer = writer
        self._idempotent = idempotent
        self._sequence: int | None = None
        self._cluster_id = ""

    async def one(self, step: Step) -> Entry:
        """Send one statement, unless it is there already, and record it."""
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
            catalogue = await target.client.catalogue()
        else:
            await self._check()
            await self._writer.write(entry)
            try:
                catalogue = await self._send(step)
            except (KsqlDbError, RefusedError) as error:
                if isinstance(error, RefusedError) or error.code < SERVER_FAULT:
                    await self._forget(statement.id, step.entry)
                raise
        server_text = catalogue.text_of(statement)
        if server_text is None:
            raise MigrationError(f"{step.id}: the server took it, and does not have {statement.name}")
        done = _applied(entry, server_text, catalogue.query_of(statement), began)
        await self._check()
        await self._writer.write(done)
        return done

    async def _send(self, step: Step) -> Catalogue:
        """Send until it is known what became of it; the catalogue after that."""
        client = self._target.client
        perhaps = step.entry is not None and step.entry.status is Status.sending  # that we made it, without knowing
        text = if_not_exists(step.text) if self._idempotent and step.action is not Action.alter else step.text
        for left in range(TRIES - 1, -1, -1):
            try:
                executed = await client.execute(text, self._plan.properties, self._sequence)
            except (UnreachableError, KsqlDbError) as error:
                if isinstance(error, KsqlDbError) and error.code < SERVER_FAULT:
                    if "already exists" not in error.text:
                        raise
                    if not perhaps:
                        raise RefusedError(f"{step.id}: {error}: it came from elsewhere while this plan was applied") from error
                perhaps = True
                catalogue = await client.catalogue()
                if self._there(step, catalogue):
                    log.info("%s: %s; the server has it", step.id, error)
                    return catalogue
                if not left or (isinstance(error, KsqlDbError) and error.code < SERVER_FAULT):
                    raise
                log.warning("%s: %s; the server does not have it, sending it again", step.id, error)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._note(step, executed, perhaps=perhaps)
                return await client.catalogue(self._sequence)
        raise MigrationError(f"{step.id}: not sent")

    async def _forget(self, name: str, before: Entry | None) -> None:
        """Take back that it is being sent: the server refused it, and what is there one day is not ours."""
        await self._writer.write_all(self._target.app_id, [before] if before is not None else [], [] if before else [name])

    def _there(self, step: Step, catalogue: Catalogue) -> bool:
        """Whether the server has what this step makes; of an alteration: whether its text has changed."""
        if step.statement is None:
            return False
        found = catalogue.text_of(step.statement)
        return found is not None and (step.action is not Action.alter or found != step.server_text)

    def _note(self, step: Step, executed: Executed, *, perhaps: bool) -> None:
        if executed.sequence >= 0:
            self._sequence = executed.sequence
        if executed.warning and not perhaps:  # IF NOT EXISTS found something: not ours, as it was not there when we looked
            raise RefusedError(f"{step.id}: {executed.warning} It came from elsewhere while this plan was applied")


def _applied(entry: Entry, server_text: str, query_id: str, began: float) -> Entry:
    """The entry of a statement that is there; `began` is of the monotonic clock."""
    took = int((time.monotonic() - began) * 1_000)
    return msgspec.structs.replace(entry, status=Status.applied, server_text=server_text, query_id=query_id, duration_ms=took)
