"""The shipped plan from its first apply to a swap that is rolled back and retired: on a real ksqlDB and on the stand-in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from unittest import mock

from app.kafka.cluster import Cluster
from app.ksqldb.boot import load_plan, target
from app.settings import Settings
from migrations.plan.compare import Step
from migrations.plan.entry import Entry
from migrations.run import runner
from tests.support.worker import Worker

RESTART_BEFORE = 4  # the number of a statement of the shipped plan


def run_through(worker: Worker) -> None:
    """Apply, apply again, take over as another application and as a plan of one's own; then change, swap, roll back and retire.

    The worker's topics must exist. Its names have a prefix of their own, so that tests can share a server.
    """
    first = worker.run("migrate", "--apply")
    assert first.returncode == 0, first.stderr
    assert "6 of 6 statements applied" in first.stdout
    again = worker.run("migrate", "--apply")
    assert (again.returncode, "nothing to do: 6 statements" in again.stdout) == (0, True), again.stderr
    assert worker.run("migrate", "status").returncode == 0

    # of an application that does not know them, they are what another hand has made
    own, worker.settings["app_id"] = worker.settings["app_id"], f"{worker.settings['app_id']}-other"
    assert worker.run("migrate", "status").returncode == 4
    adopted = worker.run("migrate", "adopt")
    assert (adopted.returncode, adopted.stdout.count("of the server is the same")) == (0, 6), adopted.stderr
    assert worker.run("migrate", "status").returncode == 0
    worker.settings["app_id"] = own

    mine, given = worker.directory / "mine.ksql", ("--plan", "mine.ksql")
    head = "SET 'ksql.streams.auto.offset.reset'='earliest';\nSET 'ksql.streams.processing.guarantee'='exactly_once_v2';\n"
    mine.write_text(head + worker.run("migrate", "print").stdout)
    assert worker.run("migrate", "status", *given).returncode == 4
    adopted = worker.run("migrate", "adopt", *given)
    assert (adopted.returncode, len(adopted.stdout.splitlines())) == (0, 6), adopted.stderr
    assert worker.run("migrate", "status", *given).returncode == 0

    before = mine.read_text()
    mine.write_text(before.replace("RETENTION 7 DAYS", "RETENTION 8 DAYS"))
    refused = worker.run("migrate", "--apply", *given)
    assert (refused.returncode, "cannot be altered without losing its windows" in refused.stderr) == (4, True)
    old = next(step["name"] for step in steps(worker, *given) if step["state"] == "refused")
    shown = worker.run("migrate", "--force-new-name", *given)
    assert (shown.returncode, f"{old} would be replaced by {old}_V2" in shown.stdout) == (3, True), shown.stderr
    swapped = worker.run("migrate", "--apply", "--force-new-name", *given)
    assert swapped.returncode == 0, swapped.stderr
    assert f"who asks {old} by pull queries must ask {old}_V2 instead" in swapped.stdout
    assert worker.run("migrate", "status", *given).returncode == 0

    back = worker.run("migrate", "rollback", *given)
    assert back.returncode == 0, back.stderr
    mine.write_text(before)
    assert worker.run("migrate", "status", *given).returncode == 0
    retired = worker.run("migrate", "retire", "--readers-moved", *given)
    assert (retired.returncode, retired.stdout) == (0, f"DROP TABLE `{old}_V2`;\n"), retired.stderr
    assert worker.run("migrate", "status", *given).returncode == 0


def apply_with_revisions(worker: Worker) -> None:
    """Apply what `late_policy=correct` and two frames turn on, twice. The worker's topics must exist."""
    first = worker.run("migrate", "--apply")
    assert (first.returncode, "25 of 25 statements applied" in first.stdout) == (0, True), first.stdout + first.stderr
    again = worker.run("migrate", "--apply")
    assert (again.returncode, "nothing to do: 25 statements" in again.stdout) == (0, True), again.stderr
    assert worker.run("migrate", "status").returncode == 0


async def apply_through_a_restart(worker: Worker, restart: Callable[[], object]) -> None:
    """Apply the shipped plan while the server is restarted before its fourth statement; then restart it once more.

    The worker's topics must exist. `restart` ends the server and starts it, and need not wait until it is ready.
    """
    worker.settings["ksqldb_retry_for"] = "120s"
    with mock.patch.dict(os.environ, worker.environment(), clear=True):
        settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    begun: list[str] = []

    def restarting(step: Step, done: Entry | None) -> None:
        if done is None:
            begun.append(step.id)
            if len(begun) == RESTART_BEFORE:
                restart()

    plan = load_plan(settings, None)
    async with target(settings, Cluster(worker.bootstrap)) as where:
        result = await runner.apply(where, plan, on_progress=restarting)
        assert [entry.id for entry in result.applied] == [statement.id for statement in plan.statements] == begun
    restart()
    status = worker.run("migrate", "status")
    assert (status.returncode, "nothing to do: 6 statements" in status.stderr) == (0, True), status.stdout + status.stderr
    again = worker.run("migrate", "--apply")
    assert (again.returncode, "nothing to do: 6 statements" in again.stdout) == (0, True), again.stderr


def steps(worker: Worker, *given: str) -> list[dict[str, str]]:
    """The steps that `status` shows."""
    found: list[dict[str, str]] = json.loads(worker.run("migrate", "status", "--json", *given).stdout)["steps"]
    return found
