"""`app migrate`: KSQL plans to a ksqlDB server: looked at, compared, applied once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from faust.cli.base import argument, option

from app.commands import base
from app.errors import BarwheelError, BrokerError, InputError
from app.kafka.cluster import Cluster
from app.ksqldb.boot import load_plan, target
from app.settings import Settings
from migrations.errors import MigrationError
from migrations.plan.compare import Action, Step, exit_code
from migrations.plan.entry import Entry
from migrations.plan.model import Plan
from migrations.run import report, rollback, swap
from migrations.run.history import Writer, ensure_topic
from migrations.run.runner import apply, check_on_server, survey
from migrations.run.target import Target
from migrations.server.health import check_health
from migrations.server.registry import check_registry

if TYPE_CHECKING:
    import faust


class Deed(StrEnum):
    """What `app migrate` can do."""

    plan = "plan"
    print = "print"
    validate = "validate"
    status = "status"
    diff = "diff"
    check = "check"
    apply = "apply"
    health = "health"
    rollback = "rollback"
    retire = "retire"
    unlock = "unlock"


NOTHING = {Deed.retire: "nothing has been replaced", Deed.rollback: "put back; no query had to be paused"}


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("deed", required=False, metavar="[" + "|".join(Deed) + "]"),
        option("--plan", "path", default="", show_default=False, help="A directory, one .ksql, .json, .yaml or .py, or bar1m."),
        option("--server", default="", show_default=False, help="ksqlDB, instead of the setting ksqldb_url."),
        option("--registry", default="", show_default=False, help="Schema Registry, instead of schema_registry_url."),
        option("--apply", "do_apply", is_flag=True, default=False, show_default=False, help="Do it; the same as `apply`."),
        option("--print", "do_print", is_flag=True, default=False, show_default=False, help="The same as `print`."),
        option("--idempotent", is_flag=True, default=False, show_default=False, help="Send IF NOT EXISTS."),
        option(
            "--force-new-name",
            is_flag=True,
            default=False,
            show_default=False,
            help="Build what cannot be altered beside it under its next name (_V2), and swap.",
        ),
        option("--repair", is_flag=True, default=False, show_default=False, help="Make what is gone from the server again."),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def migrate(  # noqa: PLR0913  # one argument an option
        self: base.BarwheelCommand,  # noqa: ARG001 - Faust passes itself
        *,
        deed: str | None,
        path: str,
        server: str,
        registry: str,
        do_apply: bool,
        do_print: bool,
        idempotent: bool,
        force_new_name: bool,
        repair: bool,
        as_json: bool,
    ) -> int:
        """Bring a ksqlDB server to where a plan says; without --apply only check, on the server, what would be done.

        plan, print and validate need no server. status and diff compare the plan, what was applied and the server.
        Only retire drops anything. Exit code 0: done or nothing to do, 1 failed, 2 the plan or an option cannot be used,
        3 something is pending, 4 refused, or the server is not as it was left.

        \b
        Example:
          app migrate plan
          app migrate status --server http://localhost:8088
          app migrate                        a dry run on the server
          app migrate --apply
          app migrate diff --plan bar1m
        """  # noqa: D301 - click reads \b
        try:
            settings = Settings.load()
            chosen = _chosen(deed, do_apply=do_apply, do_print=do_print)
            plan = load_plan(settings, Path(path) if path else None)
            if chosen in (Deed.plan, Deed.print, Deed.validate):
                return _offline(plan, chosen, as_json=as_json)
            asked = Asked(chosen, _address("--server", server), _address("--registry", registry), as_json=as_json)
            return await _online(settings, plan, asked, idempotent=idempotent, force_new_name=force_new_name, repair=repair)
        except BrokenPipeError:
            raise
        except (BrokerError, KafkaError, OSError) as error:  # a broker's own exit code, 3, means here that something is pending
            failed = MigrationError(str(error) or type(error).__name__)
            raise _said(failed, as_json=as_json) from error
        except BarwheelError as error:
            raise _said(error, as_json=as_json) from None


@dataclass(frozen=True)
class Asked:
    """What to do, and where."""

    deed: Deed
    server: str
    registry: str
    as_json: bool


def _address(option: str, value: str) -> str:
    """As the settings take one; raises `InputError`."""
    try:
        return Settings.address(value)
    except ValueError as error:
        raise InputError(f"migrate {option} {value}: {error}") from None


def _said(error: BarwheelError, *, as_json: bool) -> BarwheelError:
    """The same, for a program too."""
    if as_json:
        base.out_json({"error": str(error), "exit_code": error.exit_code})
    return error


async def _online(settings: Settings, plan: Plan, asked: Asked, *, idempotent: bool, force_new_name: bool, repair: bool) -> int:
    cluster, as_json = await base.reach(settings), asked.as_json
    if asked.deed is Deed.unlock:
        return await _unlock(cluster, settings, as_json=as_json)
    async with target(settings, cluster, url=asked.server, try_seconds=base.COMMAND_DEADLINE) as where:
        registry = asked.registry or settings.schema_registry_url
        if asked.deed is Deed.health:
            return await _health(where, registry, as_json=as_json)
        await check_registry(registry)
        if asked.deed in (Deed.retire, Deed.rollback):
            return await _swapped(where, plan, asked.deed, as_json=as_json)
        if force_new_name:
            return await _swap(where, plan, asked.deed, as_json=as_json)
        if asked.deed is Deed.apply:
            return await _apply(where, plan, repair=repair, idempotent=idempotent, as_json=as_json)
        return await _look(where, plan, asked.deed, as_json=as_json)


def _chosen(deed: str | None, *, do_apply: bool, do_print: bool) -> Deed:
    """What is meant; raises `InputError` for a word that is none, and for two."""
    if deed is not None and deed not in set(Deed):
        raise InputError(f"migrate {deed}: must be {', '.join(Deed)}")
    wanted = {Deed(deed)} if deed else set()
    wanted |= ({Deed.apply} if do_apply else set()) | ({Deed.print} if do_print else set())
    if len(wanted) > 1:
        raise InputError(f"migrate: {' and '.join(sorted(wanted))} at once; choose one")
    return wanted.pop() if wanted else Deed.check


def _offline(plan: Plan, deed: Deed, *, as_json: bool) -> int:
    if as_json:
        base.out_json({"plan": plan.name, "properties": dict(plan.properties), "statements": report.statement_data(plan)})
    elif deed is Deed.print:
        base.out("\n\n".join(statement.text for statement in plan.statements))
    elif deed is Deed.plan:
        base.console().print(report.plan_table(plan))
    else:
        base.out(f"{plan.name}: {len(plan.statements)} statements can be read; `app migrate` has a server check them")
    return 0


async def _look(where: Target, plan: Plan, deed: Deed, *, as_json: bool) -> int:
    """Compare; `check` also has the server validate what is pending. Raises `PlanRefusedError` where it refuses."""
    steps = await survey(where, plan)
    texts = [step for step in steps if step.action in (Action.apply, Action.alter)]
    if deed is Deed.check and texts:
        await check_on_server(where, plan, texts)
    if as_json:
        base.out_json({"plan": plan.name, "summary": report.summary(steps), "steps": [report.step_data(s) for s in steps]})
    else:
        shown = report.diff(steps) if deed is Deed.diff else report.steps_table(steps)
        base.console().print(shown, soft_wrap=deed is Deed.diff)
        more = ", and the server accepts it: `app migrate --apply` does it" if deed is Deed.check and texts else ""
        base.say(report.summary(steps) + more)
    return exit_code(steps)


def _told(step: Step, done: Entry | None) -> None:
    if done is None:
        base.say(f"{step.id} ({step.name}): {step.why} ...")
    else:
        base.say(f"{step.id} ({step.name}): applied in {done.duration_ms} ms")


async def _apply(where: Target, plan: Plan, *, repair: bool, idempotent: bool, as_json: bool) -> int:
    found = await apply(where, plan, repair=repair, idempotent=idempotent, on_progress=_told)
    if as_json:
        base.out_json({"plan": plan.name, "applied": [report.entry_data(entry) for entry in found.applied]})
    elif found.applied:
        base.out(f"{len(found.applied)} of {len(plan.statements)} statements applied")
    else:
        base.out(report.summary(found.steps))
    return 0


async def _swap(where: Target, plan: Plan, deed: Deed, *, as_json: bool) -> int:
    if deed is not Deed.apply:
        raise InputError("migrate --force-new-name goes with --apply: `app migrate diff` shows what it is about")
    found, compared = await swap.force_new_name(where, plan, _told)
    rows = [asdict(one) for one in compared]
    if as_json:
        base.out_json({"applied": [report.entry_data(entry) for entry in found.applied], "compared": rows})
        return 0
    for one in compared:
        base.out(f"{one.new} has {one.new_rows} rows, {one.old} {one.old_rows}: of the common ones {one.equal} are equal")
    base.out("swapped; the old half is paused or without readers: `app migrate rollback` puts it back, `retire` drops it")
    return 0


async def _swapped(where: Target, plan: Plan, deed: Deed, *, as_json: bool) -> int:
    sent = await (rollback.retire if deed is Deed.retire else rollback.roll_back)(where, plan)
    if as_json:
        base.out_json({"sent": sent})
    else:
        base.out("\n".join(sent) or NOTHING[deed])
    return 0


async def _health(where: Target, registry: str, *, as_json: bool) -> int:
    found = await check_health(where.client, registry)
    if as_json:
        base.out_json({**asdict(found), "well": found.well})
    else:
        base.out(
            f"ksqlDB {found.version} at {where.client.url}: {found.status}, {'healthy' if found.healthy else 'NOT healthy'}"
        )
        base.out(f"{found.streams} streams, {found.tables} tables, {found.queries} queries")
        for name, state in found.troubled.items():
            base.out(f"query {name} is {state}: `EXPLAIN {name};` says more, `RESUME {name};` goes on with one that is paused")
        if found.registry is not None:
            by_id = "can" if found.registry.by_id else "can NOT"
            base.out(f"Schema Registry: {found.registry.subjects} subjects; schemas {by_id} be asked for by id")
    return 0 if found.well else 1


async def _unlock(cluster: Cluster, settings: Settings, *, as_json: bool) -> int:
    """Fence whoever is at work: its next record is refused, and it ends."""
    await ensure_topic(cluster, settings.history_topic, settings.replication_factor)
    async with Writer(cluster, settings.history_topic):
        pass
    if as_json:
        base.out_json({"unlocked": settings.history_topic})
    else:
        base.out(
            "whoever applies a plan now is stopped before its next statement; one that died loses the lock by session_timeout"
        )
    return 0
