"""`app migrate`: applies KSQL plans to a ksqlDB server. This module parses the arguments and prints the results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from app.commands import base, swaps
from app.commands import migration_reports as reports
from app.commands.migration_options import OPTIONS, Operation, check_options
from app.errors import BarwheelError, BrokerError, InputError
from app.ksqldb.boot import load_plan, target
from app.settings import Settings
from app.settings.addresses import http_address
from migrations.errors import MigrationError, UnreachableError
from migrations.plan.compare import Action, Step, exit_code
from migrations.plan.entry import Entry
from migrations.plan.ksql_migrations import TABLE
from migrations.plan.model import Plan
from migrations.run import report
from migrations.run.runner import Limit, apply, check_on_server, survey
from migrations.run.target import Target
from migrations.server.registry import check_registry

if TYPE_CHECKING:
    import faust


OFFLINE = (Operation.plan, Operation.print, Operation.validate)
HISTORY = (Operation.adopt, Operation.import_ksql_migrations, Operation.retire, Operation.rollback)


@dataclass(frozen=True)
class Params:
    """The operation and its options. `server` and `registry` are addresses, or empty for those of the settings."""

    operation: Operation
    server: str
    registry: str
    idempotent: bool
    force_new_name: bool
    repair: bool
    destructive: bool
    only_next: bool
    until: str
    readers_moved: bool
    as_json: bool
    path: str
    table: str


def register(app: faust.App) -> None:
    """Add the command to Faust's command line."""

    @app.command(
        *OPTIONS,
        base=base.BarwheelCommand,
    )
    async def migrate(  # noqa: PLR0913  # one argument per option
        self: base.BarwheelCommand,  # noqa: ARG001 - Faust passes itself
        *,
        operation: str | None,
        name: str | None,
        path: str,
        defines: tuple[str, ...],
        only_next: bool,
        until: str,
        server: str,
        user: str,
        password_file: str,
        registry: str,
        do_apply: bool,
        do_print: bool,
        idempotent: bool,
        force_new_name: bool,
        repair: bool,
        allow_destructive: bool,
        readers_moved: bool,
        as_json: bool,
    ) -> int:
        """Apply a KSQL plan to a ksqlDB server. Without --apply, only check what would be done; the server checks it too.

        plan, print and validate need no server. status and diff compare the plan, the history and the server.
        Only retire, and apply with --allow-destructive, take anything away. Exit code 0: done, or nothing to do; 1: failed;
        2: the plan or an option cannot be used; 3: something is pending; 4: refused, or the server does not match the history.

        \b
        Example:
          app migrate plan
          app migrate status --server http://localhost:8088
          app migrate                        a dry run on the server
          app migrate --apply
          app migrate diff --plan bar1m
          app migrate apply --plan plans/ --until 0003_closes --define topic=closes
          app migrate create add_vwap --plan plans/
          app migrate import-ksql-migrations --plan migrations/
        """  # noqa: D301 - click reads \b
        try:
            settings = Settings.load(**_credentials(user, password_file))
            if operation == Operation.plan and name in {Operation.validate, Operation.print}:
                operation, name = name, None  # `plan validate`, `plan print`
            chosen = _operation(operation, do_apply=do_apply, do_print=do_print)
            given = {
                "--next": only_next,
                "--until": bool(until),
                "--idempotent": idempotent,
                "--repair": repair,
                "--allow-destructive": allow_destructive,
                "--readers-moved": readers_moved,
            }
            check_options(chosen, {option for option, is_given in given.items() if is_given}, force_new_name=force_new_name)
            if chosen is Operation.create:
                return reports.run_create(path, name or "", as_json=as_json)
            if name is not None and chosen is not Operation.import_ksql_migrations:
                more = "must be `plan validate` or `plan print`" if chosen is Operation.plan else "takes no name"
                raise InputError(f"migrate {chosen} {name}: {more}; `create` and `import-ksql-migrations` take a name")
            plan = load_plan(settings, Path(path) if path else None, _defined(defines))
            for line in report.reads_left_out(plan):
                base.say(line)
            if chosen in OFFLINE:
                return _offline(plan, chosen, as_json=as_json)
            params = Params(
                chosen,
                _address("--server", server),
                _address("--registry", registry),
                idempotent=idempotent,
                force_new_name=force_new_name,
                repair=repair,
                destructive=allow_destructive,
                only_next=only_next,
                until=until,
                readers_moved=readers_moved,
                as_json=as_json,
                path=path,
                table=name or TABLE,
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
    name = Operation.apply if name == "deploy" else name
    if name is not None and name not in set(Operation):
        raise InputError(f"migrate {name}: must be {', '.join(Operation)}")
    chosen = {Operation(name)} if name else set()
    chosen |= ({Operation.apply} if do_apply else set()) | ({Operation.print} if do_print else set())
    if len(chosen) > 1:
        raise InputError(f"migrate: {' and '.join(sorted(chosen))} at once; choose one")
    return chosen.pop() if chosen else Operation.check


def _defined(defines: Sequence[str]) -> dict[str, str]:
    """Variables by name. Raises `InputError` for one without a value."""
    for one in defines:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_@:]*=.*", one, re.DOTALL):
            raise InputError(f"migrate --define {one}: must look like NAME=VALUE")
    return {name: value for name, _, value in (one.partition("=") for one in defines)}


def _credentials(user: str, password_file: str) -> dict[str, str]:
    """The settings of user and password that the options replace. Raises `InputError`."""
    if not user and not password_file:
        return {}
    if not user or not password_file:
        raise InputError("migrate --user NAME --password-file FILE: both are needed")
    try:
        lines = Path(password_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"migrate --password-file {password_file}: cannot be read ({error})") from None
    if not lines or not lines[0]:
        raise InputError(f"migrate --password-file {password_file}: its first line is empty")
    return {"ksqldb_user": user, "ksqldb_password": lines[0]}


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
        base.out_json(report.plan_data(plan))
    elif operation is Operation.print:
        base.out("\n\n".join(statement.text for statement in plan.statements))
    elif operation is Operation.plan:
        base.console().print(report.plan_table(plan))
    else:
        found = f"{plan.name}: {len(plan.statements)} statements can be applied"
        base.out(f"{report.with_reads(found, plan)}; `app migrate` has a server check them")
    return 0


async def _online(settings: Settings, plan: Plan, params: Params) -> int:  # noqa: PLR0911  # one return per operation
    cluster, operation = await base.reach(settings), params.operation
    if operation is Operation.unlock:
        return await reports.run_unlock(cluster, settings, as_json=params.as_json)
    if operation is Operation.history:
        return await reports.run_history(cluster, settings, as_json=params.as_json)
    async with target(settings, cluster, url=params.server, try_seconds=base.COMMAND_DEADLINE) as where:
        registry = params.registry or settings.schema_registry_url
        if operation is Operation.health:
            return await reports.run_health(where, registry, as_json=params.as_json)
        await _warn_of_registry(registry)
        if operation in HISTORY:
            return await _history_operation(where, plan, params)
        if params.force_new_name:
            if operation not in (Operation.apply, Operation.check):
                raise InputError("migrate --force-new-name goes with --apply; without any operation it shows what it would do")
            execute, as_json = operation is Operation.apply, params.as_json
            return await swaps.run_swap(where, plan, _print_progress, execute=execute, as_json=as_json)
        if operation is Operation.apply:
            return await _apply(where, plan, params)
        return await _compare(where, plan, operation, as_json=params.as_json)


async def _history_operation(where: Target, plan: Plan, params: Params) -> int:
    """Operations that change the history, and send no statement of the plan."""
    as_json = params.as_json
    if params.operation is Operation.adopt:
        return await swaps.run_adopt(where, plan, as_json=as_json)
    if params.operation is Operation.import_ksql_migrations:
        return await swaps.run_import(where, plan, Path(params.path), params.table, as_json=as_json)
    if params.operation is Operation.retire:
        return await swaps.run_retire(where, plan, readers_moved=params.readers_moved, as_json=as_json)
    return await swaps.run_rollback(where, plan, as_json=as_json)


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
        await check_on_server(where, pending)
    if as_json:
        rows, reads = [report.step_data(step) for step in steps], report.read_data(plan)
        base.out_json({"plan": plan.name, "summary": report.summary(steps), "steps": rows, "left_out": reads})
    else:
        shown = report.diff(steps) if operation is Operation.diff else report.steps_table(steps)
        base.console().print(shown, soft_wrap=operation is Operation.diff)
        checked = operation is Operation.check and pending
        more = ", and the server accepts it: `app migrate --apply` does it" if checked else ""
        base.say(report.with_reads(report.summary(steps), plan) + more)
    return exit_code(steps)


def _print_progress(step: Step, done: Entry | None) -> None:
    if done is None:
        base.say(f"{step.id} ({step.name}): {step.why} ...")
    else:
        base.say(f"{step.id} ({step.name}): applied in {done.duration_ms} ms")


async def _apply(where: Target, plan: Plan, params: Params) -> int:
    result = await apply(
        where,
        plan,
        repair=params.repair,
        idempotent=params.idempotent,
        limit=Limit(params.only_next, params.until, params.destructive),
        on_progress=_print_progress,
    )
    if params.as_json:
        applied, reads = [report.entry_data(entry) for entry in result.applied], report.read_data(plan)
        base.out_json({"plan": plan.name, "applied": applied, "left_out": reads})
        return 0
    number = len(result.applied)
    done = f"{number} of {len(plan.statements)} statements applied" if number else report.summary(result.steps)
    base.out(report.with_reads(done, plan))
    return 0
