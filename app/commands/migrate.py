"""`app migrate`: applies KSQL plans to a ksqlDB server. This module parses the arguments and prints the results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from faust.cli.base import argument, option

from app.commands import base, swaps
from app.errors import BarwheelError, BrokerError, InputError
from app.kafka.cluster import Cluster
from app.ksqldb.boot import load_plan, target
from app.settings import Settings
from app.settings.addresses import http_address
from migrations.errors import MigrationError, UnreachableError
from migrations.plan.compare import Action, Step, exit_code
from migrations.plan.entry import Entry, Status
from migrations.plan.model import Plan
from migrations.run import report
from migrations.run.history import Writer, ensure_topic
from migrations.run.history import read as read_history
from migrations.run.runner import apply, check_on_server, survey
from migrations.run.target import Target
from migrations.server.health import check_health
from migrations.server.registry import check_registry

if TYPE_CHECKING:
    import faust


class Operation(StrEnum):
    """The operations of `app migrate`."""

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


OFFLINE = (Operation.plan, Operation.print, Operation.validate)


@dataclass(frozen=True)
class Params:
    """The operation and its options. `server` and `registry` are addresses, or empty for those of the settings."""

    operation: Operation
    server: str
    registry: str
    idempotent: bool
    force_new_name: bool
    repair: bool
    readers_moved: bool
    as_json: bool


def register(app: faust.App) -> None:
    """Add the command to Faust's command line."""

    @app.command(
        argument("operation", required=False, metavar="[" + "|".join(Operation) + "]"),
        option(
            "--plan", "path", default="", show_default=False, help="A directory, a .ksql, .json, .yaml or .py file, or bar1m."
        ),
        option("--server", default="", show_default=False, help="ksqlDB's address; replaces the setting ksqldb_url."),
        option("--registry", default="", show_default=False, help="Schema Registry's address; replaces schema_registry_url."),
        option("--apply", "do_apply", is_flag=True, default=False, show_default=False, help="The same as `apply`."),
        option("--print", "do_print", is_flag=True, default=False, show_default=False, help="The same as `print`."),
        option("--idempotent", is_flag=True, default=False, show_default=False, help="Send IF NOT EXISTS."),
        option(
            "--force-new-name",
            is_flag=True,
            default=False,
            show_default=False,
            help="With `apply`: build what cannot be altered under its next name (_V2), then swap.",
        ),
        option(
            "--repair",
            is_flag=True,
            default=False,
            show_default=False,
            help="With `apply`: create again what is gone from the server.",
        ),
        option(
            "--readers-moved",
            is_flag=True,
            default=False,
            show_default=False,
            help="With `retire`: nobody asks the old tables by pull queries any more.",
        ),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def migrate(  # noqa: PLR0913  # one argument per option
        self: base.BarwheelCommand,  # noqa: ARG001 - Faust passes itself
        *,
        operation: str | None,
        path: str,
        server: str,
        registry: str,
        do_apply: bool,
        do_print: bool,
        idempotent: bool,
        force_new_name: bool,
        repair: bool,
        readers_moved: bool,
        as_json: bool,
    ) -> int:
        """Apply a KSQL plan to a ksqlDB server. Without --apply, only check what would be done; the server checks it too.

        plan, print and validate need no server. status and diff compare the plan, the history and the server.
        Only retire drops anything. Exit code 0: done, or nothing to do; 1: failed; 2: the plan or an option cannot be used;
        3: something is pending; 4: refused, or the server does not match the history.

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
            chosen = _operation(operation, do_apply=do_apply, do_print=do_print)
            plan = load_plan(settings, Path(path) if path else None)
            if chosen in OFFLINE:
                return _offline(plan, chosen, as_json=as_json)
            params = Params(
                chosen,
                _address("--server", server),
                _address("--registry", registry),
                idempotent=idempotent,
                force_new_name=force_new_name,
                repair=repair,
                readers_moved=readers_moved,
                as_json=as_json,
            )
            return await _online(settings, plan, params)
        except BrokenPipeError:
            raise
        except (BrokerError, KafkaError, OSError) as error:  # exit code 1: that of BrokerError, 3, means pending here
            failed = MigrationError(str(error) or type(error).__name__)
            raise _reported(failed, as_json=as_json) from error
        except BarwheelError as error:
            raise _reported(error, as_json=as_json) from None


def _operation(name: str | None, *, do_apply: bool, do_print: bool) -> Operation:
    """The operation of the argument and the flags. Raises `InputError` for an unknown one, and for two."""
    if name is not None and name not in set(Operation):
        raise InputError(f"migrate {name}: must be {', '.join(Operation)}")
    chosen = {Operation(name)} if name else set()
    chosen |= ({Operation.apply} if do_apply else set()) | ({Operation.print} if do_print else set())
    if len(chosen) > 1:
        raise InputError(f"migrate: {' and '.join(sorted(chosen))} at once; choose one")
    return chosen.pop() if chosen else Operation.check


def _address(option: str, value: str) -> str:
    """An address, checked as the settings check theirs. Raises `InputError`."""
    try:
        return http_address(value)
    except ValueError as error:
        raise InputError(f"migrate {option} {value}: {error}") from None


def _reported(error: BarwheelError, *, as_json: bool) -> BarwheelError:
    """The same error, printed as JSON if JSON is wanted."""
    if as_json:
        base.out_json({"error": str(error), "exit_code": error.exit_code})
    return error


def _offline(plan: Plan, operation: Operation, *, as_json: bool) -> int:
    if as_json:
        base.out_json({"plan": plan.name, "properties": dict(plan.properties), "statements": report.statement_data(plan)})
    elif operation is Operation.print:
        base.out("\n\n".join(statement.text for statement in plan.statements))
    elif operation is Operation.plan:
        base.console().print(report.plan_table(plan))
    else:
        base.out(f"{plan.name}: {len(plan.statements)} statements can be read; `app migrate` has a server check them")
    return 0


async def _online(settings: Settings, plan: Plan, params: Params) -> int:  # noqa: PLR0911  # one return per operation
    cluster, operation = await base.reach(settings), params.operation
    if operation is Operation.unlock:
        return await _unlock(cluster, settings, as_json=params.as_json)
    async with target(settings, cluster, url=params.server, try_seconds=base.COMMAND_DEADLINE) as where:
        registry = params.registry or settings.schema_registry_url
        if operation is Operation.health:
            return await _health(where, registry, as_json=params.as_json)
        await _warn_of_registry(registry)
        if operation is Operation.retire:
            return await swaps.run_retire(where, plan, readers_moved=params.readers_moved, as_json=params.as_json)
        if operation is Operation.rollback:
            return await swaps.run_rollback(where, plan, as_json=params.as_json)
        if params.force_new_name:
            if operation not in (Operation.apply, Operation.check):
                raise InputError("migrate --force-new-name goes with --apply; without any operation it shows what it would do")
            execute = operation is Operation.apply
            return await swaps.run_swap(where, plan, _print_progress, execute=execute, as_json=params.as_json)
        if operation is Operation.apply:
            return await _apply(where, plan, params)
        return await _compare(where, plan, operation, as_json=params.as_json)


async def _warn_of_registry(url: str) -> None:
    """Say that Schema Registry cannot be reached. Only statements with its formats need it, and those the server refuses."""
    try:
        await check_registry(url)
    except UnreachableError as error:
        base.say(f"{error}; statements with AVRO, PROTOBUF or JSON_SR need it")


async def _compare(where: Target, plan: Plan, operation: Operation, *, as_json: bool) -> int:
    """Compare; for `check`, the server also checks what is pending. Raises `PlanRefusedError` if it would reject that."""
    steps = await survey(where, plan)
    pending = [step for step in steps if step.action in (Action.apply, Action.alter)]
    if operation is Operation.check and pending:
        await check_on_server(where, plan, pending)
    if as_json:
        base.out_json({"plan": plan.name, "summary": report.summary(steps), "steps": [report.step_data(s) for s in steps]})
    else:
        shown = report.diff(steps) if operation is Operation.diff else report.steps_table(steps)
        base.console().print(shown, soft_wrap=operation is Operation.diff)
        checked = operation is Operation.check and pending
        more = ", and the server accepts it: `app migrate --apply` does it" if checked else ""
        base.say(report.summary(steps) + more)
    return exit_code(steps)


def _print_progress(step: Step, done: Entry | None) -> None:
    if done is None:
        base.say(f"{step.id} ({step.name}): {step.why} ...")
    else:
        base.say(f"{step.id} ({step.name}): applied in {done.duration_ms} ms")


async def _apply(where: Target, plan: Plan, params: Params) -> int:
    result = await apply(where, plan, repair=params.repair, idempotent=params.idempotent, on_progress=_print_progress)
    if params.as_json:
        base.out_json({"plan": plan.name, "applied": [report.entry_data(entry) for entry in result.applied]})
    elif result.applied:
        base.out(f"{len(result.applied)} of {len(plan.statements)} statements applied")
    else:
        base.out(report.summary(result.steps))
    return 0


async def _health(where: Target, registry: str, *, as_json: bool) -> int:
    await ensure_topic(where.cluster, where.topic, where.replication_factor)
    entries = (await read_history(where.cluster, where.topic, where.app_id)).values()
    paused = {entry.name for entry in entries if entry.status is Status.replaced}
    health = await check_health(where.client, registry, paused)
    if as_json:
        base.out_json({**asdict(health), "well": health.well})
        return 0 if health.well else 1
    state = "healthy" if health.healthy else "NOT healthy"
    base.out(f"ksqlDB {health.version} at {where.client.url}: {health.status}, {state}")
    base.out(f"{health.streams} streams, {health.tables} tables, {health.queries} queries")
    for name, query_state in health.troubled.items():
        base.out(f"query {name} is {query_state}: `EXPLAIN {name};` says more, `RESUME {name};` resumes a paused one")
    if health.put_aside:
        base.out(f"paused by a swap: {', '.join(health.put_aside)}; `app migrate retire` drops them, `rollback` resumes them")
    if health.registry is not None:
        by_id = "can" if health.registry.by_id else "can NOT"
        base.out(f"Schema Registry: {health.registry.subjects} subjects; schemas {by_id} be asked for by id")
    return 0 if health.well else 1


async def _unlock(cluster: Cluster, settings: Settings, *, as_json: bool) -> int:
    """Fence the current runner: its next record is refused, and it ends."""
    await ensure_topic(cluster, settings.history_topic, settings.replication_factor)
    async with Writer(cluster, settings.history_topic):
        pass
    if as_json:
        base.out_json({"unlocked": settings.history_topic})
    else:
        base.out("a runner at work is stopped before its next statement; a dead one loses the lock by session_timeout")
    return 0
