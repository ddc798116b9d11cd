"""Applies a plan to a server: takes the lock, checks all pending statements, then executes them one by one.

A statement is recorded as `sending` before it is sent, and as `applied` after it. A run that finds `sending` looks into the
server's catalog: the object is there, or the statement is sent now. So the next run finishes an interrupted one, and no
statement is executed twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrations.errors import KsqlDbError, PlanError, PlanRefusedError, RefusedError
from migrations.ksql.parse.masking import masked
from migrations.ksql.parse.rewrite import without_delete_topic
from migrations.plan.compare import Action, Step, compare
from migrations.plan.entry import History
from migrations.plan.model import Plan
from migrations.run import history
from migrations.run.executor import Executor
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.settle import settled
from migrations.run.target import LOCK_SECONDS, SERVER_FAULT, ApplyResult, Progress, Target
from migrations.server.catalog import Catalog

_NO_TOPIC = re.compile(r"\bTopic '([^']+)' does not exist\.")


@dataclass(frozen=True)
class Limit:
    """What of a plan to apply: `until` is the id of the last statement, or the file that it begins with.

    `destructive` allows DROP and TERMINATE.
    """

    only_next: bool = False
    until: str = ""
    destructive: bool = False

    def within(self, steps: Sequence[Step], reads: Collection[str] = ()) -> list[Step]:
        """The steps up to the limit, in order. Raises `PlanError` if the plan has no such statement or file.

        `reads` are files of which something was left out, for the message.
        """
        planned = [step for step in steps if step.statement is not None]
        if not self.until:
            return planned
        last = [number for number, step in enumerate(planned) if self.until in (step.id, step.id.partition("/")[0])]
        if not last and self.until in reads:
            raise PlanError(f"--until {self.until}: that file only reads; name one before it")
        if not last:
            raise PlanError(f"--until {self.until}: the plan has no such id or file; `app migrate plan` shows the ids")
        return planned[: last[-1] + 1]


async def observe(target: Target, plan: Plan) -> tuple[History, Catalog, list[Step]]:
    """The history, the catalog, and the steps that they give, by one request to ksqlDB unless queries are missing there."""
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    entries, catalog = await asyncio.gather(
        history.read(target.cluster, target.topic, target.app_id), target.client.catalog(connectors=plan.connectors)
    )
    steps = compare(plan, entries, catalog)
    calm = await settled(target.client, catalog, steps, connectors=plan.connectors)
    return entries, calm, steps if calm is catalog else compare(plan, entries, calm)


async def survey(target: Target, plan: Plan) -> list[Step]:
    """Compare plan, history and server; see `observe`."""
    _, _, steps = await observe(target, plan)
    if any(step.action.drift for step in steps):
        cluster_id = (await target.client.info()).cluster
        steps = [_with_cluster(step, cluster_id) for step in steps]
    return steps


def _with_cluster(step: Step, cluster_id: str) -> Step:
    """A drifted step with its likely reason, if the history belongs to a server on another Kafka cluster."""
    if not step.action.drift or step.entry is None or step.entry.cluster_id == cluster_id:
        return step
    why = (
        f"it was applied on Kafka cluster {step.entry.cluster_id}, and this server is on {cluster_id}: "
        "is ksqldb_url the right one?"
    )
    return replace(step, why=f"{why} ({step.why})")


async def apply(
    target: Target,
    plan: Plan,
    *,
    repair: bool = False,
    idempotent: bool = False,
    limit: Limit = Limit(),
    on_progress: Progress | None = None,
    lock_seconds: float = LOCK_SECONDS,
) -> ApplyResult:
    """Apply what is pending.

    Only what `limit` allows is looked at: later statements may be refused or gone. `repair` creates again what is gone from
    the server. `idempotent` sends IF NOT EXISTS; an object that exists is still an error. Raises `RefusedError` before anything
    is sent if a step is refused or the server has drifted, and `PlanRefusedError` if the server would reject a statement.
    """
    steps, reads = await survey(target, plan), {Path(read.file).stem for read in plan.reads}
    if not _pending_steps(steps, limit, reads, repair=repair):
        return ApplyResult(steps)  # without the lock, as there is nothing to do
    async with (
        ApplyLock(target.cluster, target.topic, wait_seconds=lock_seconds, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        steps = await survey(target, plan)  # another runner may have applied something meanwhile
        result = ApplyResult(steps)
        pending = _pending_steps(steps, limit, reads, repair=repair)
        await check_on_server(target, pending)
        executor = Executor(target, plan, lock.check, writer, idempotent=idempotent, on_progress=on_progress)
        result.applied += await executor.execute(pending)
        return result


def _pending_steps(steps: Sequence[Step], limit: Limit, reads: Collection[str], *, repair: bool) -> list[Step]:
    """The steps to be executed, in order. Raises `RefusedError` for a refused or drifted one."""
    pending: list[Step] = []
    for step in limit.within(steps, reads):
        if limit.only_next and pending:
            break
        if step.action is Action.refused or (step.action.drift and not (repair and step.action.repairable)):
            raise RefusedError(f"{step.id} ({step.name}): {step.why}")
        if not (step.action.pending or step.action.repairable):
            continue
        info = step.statement.info if step.statement is not None else None
        if info is not None and info.kind.destructive and not limit.destructive:
            raise RefusedError(
                f"{step.id}: it takes {info.name} away: `apply --allow-destructive` executes it, "
                "`apply --until` only what comes before it"
            )
        pending.append(step)
    return pending


async def check_on_server(target: Target, steps: Sequence[Step]) -> None:
    """Have the server check the statements of these steps without executing them.

    Raises `PlanRefusedError` if it would reject one, and `RefusedError` if one of the steps is an alteration.
    """
    # a newer server deletes the topic of a DROP .. DELETE TOPIC while it only checks
    sent = [(without_delete_topic(step.text), _properties(step)) for step in steps if step.action is not Action.adopt]
    if not sent:
        return
    try:
        await target.client.validate(*_with_settings(sent))
    except KsqlDbError as error:
        if error.code >= SERVER_FAULT:
            raise
        place, no_topic = _place(steps, error), _NO_TOPIC.search(error.text)
        if any(step.action is Action.alter for step in steps):
            raise RefusedError(
                f"{place}{error}; what the server cannot alter gets a new name: `apply --force-new-name`, or another statement"
            ) from error
        text = f"{place}the server would refuse the plan: {error.text}"
        if no_topic is not None:
            text += " `app topics` creates the topics of this app."
        raise PlanRefusedError(error.code, text, error.statement) from error


def _place(steps: Sequence[Step], error: KsqlDbError) -> str:
    """Where the statement of an error stands in its file, before a message; empty where the error does not tell."""
    refused, no_topic = " ".join(error.statement.split()), _NO_TOPIC.search(error.text)
    places = {
        step.statement.origin
        for step in steps
        if step.statement is not None
        and (
            " ".join(masked(step.text).split()) == refused
            or (no_topic is not None and not refused and step.statement.info.topic == no_topic[1])
        )
    }
    return f"{places.pop()}: " if len(places) == 1 else ""


def _properties(step: Step) -> Mapping[str, str]:
    return step.statement.properties if step.statement is not None else {}


def _with_settings(sent: Sequence[tuple[str, Mapping[str, str]]]) -> tuple[list[str], Mapping[str, str]]:
    """The texts of one request, and the properties of all; where they differ, each text has SET and UNSET before it instead."""
    if all(properties == sent[0][1] for _, properties in sent):
        return [text for text, _ in sent], sent[0][1]
    texts: list[str] = []
    now: Mapping[str, str] = {}
    for text, properties in sent:
        texts += [f"UNSET '{name}';" for name in now if name not in properties]
        for name, value in properties.items():
            if now.get(name) != value:
                escaped = value.replace("'", "''")
                texts.append(f"SET '{name}'='{escaped}';")
        texts.append(text)
        now = properties
    return texts, {}
