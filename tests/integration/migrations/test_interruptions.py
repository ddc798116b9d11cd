"""Interrupted and concurrent runs: each statement is executed once, whenever a run ends and however many there are."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from migrations.errors import LockLostError, RefusedError
from migrations.plan.compare import Action
from migrations.plan.entry import Entry
from migrations.run import history, runner
from migrations.run.history import Writer
from migrations.server.client import KsqlClient
from tests.integration.migrations.plans import (
    FIVE,
    NAMES,
    POINTS,
    InterruptedRunError,
    Where,
    created,
    five,
    interrupt,
)
from tests.support.ksqldb import KsqlServer
from tests.support.waiting import until_sync
from tests.support.worker import Worker


async def test_a_run_that_is_interrupted_anywhere_is_finished_by_the_next_and_no_statement_executed_twice(
    where: Where, server: KsqlServer
) -> None:
    for name in NAMES:
        for point in POINTS:
            with pytest.MonkeyPatch.context() as patch:
                interrupt(patch, point, name)
                async with where() as target:
                    with pytest.raises(InterruptedRunError, match=point):
                        await runner.apply(target, five())
    async with where() as target:
        report = await runner.apply(target, five())
        steps = await runner.survey(target, five())
    assert [entry.name for entry in report.applied] == ["ALL_WRITER"]
    assert created(server) == NAMES
    assert all(step.action is Action.done for step in steps)


@pytest.mark.parametrize("point", POINTS)
async def test_an_alteration_that_is_interrupted_anywhere_is_finished_by_the_next_run(
    where: Where, server: KsqlServer, point: str
) -> None:
    async with where() as target:
        await runner.apply(target, five())
        changed = five(FIVE.replace("bid > 1 EMIT", "bid > 2 EMIT"))
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, point, "BIG")
            with pytest.raises(InterruptedRunError, match=point):
                await runner.apply(target, changed)
        await runner.apply(target, changed)
        steps = await runner.survey(target, changed)
    assert all(step.action is Action.done for step in steps)
    assert [text for text in server.executed() if "OR REPLACE" in text] == [
        "CREATE OR REPLACE STREAM big WITH (KAFKA_TOPIC='big') AS SELECT * FROM ticks_s WHERE bid > 2 EMIT CHANGES;"
    ]


async def test_an_object_that_another_client_creates_meanwhile_is_refused(where: Where, server: KsqlServer) -> None:
    theirs = "CREATE STREAM big WITH (KAFKA_TOPIC='theirs') AS SELECT * FROM ticks_s WHERE bid > 100 EMIT CHANGES;"
    execute = KsqlClient.execute

    async def overtaken(self: KsqlClient, text: str, *more: object) -> object:
        if text.startswith("CREATE STREAM big"):
            await asyncio.to_thread(server.ksql, theirs)
        return await execute(self, text, *more)  # type: ignore[arg-type]

    async with where() as target:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KsqlClient, "execute", overtaken)
            with pytest.raises(RefusedError, match="another client created it while this plan was applied"):
                await runner.apply(target, five())
        with pytest.raises(RefusedError, match="the server has BIG already, and not by this plan"):
            await runner.apply(target, five())


def test_a_run_that_is_killed_during_a_statement_is_finished_by_the_next(worker: Worker, server: KsqlServer) -> None:
    server.fault("delay", match="CREATE STREAM big", times=2, seconds=1.5)  # the dry run, then the statement
    runs = worker.popen("migrate", "apply", "--plan", "five.ksql")
    until_sync(lambda: any('"ksql":"CREATE STREAM big' in text for text in server.requests()), what="it has been sent")
    os.kill(runs.pid, signal.SIGKILL)
    runs.communicate()
    again = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert again.returncode == 0, again.stderr
    assert created(server) == NAMES


def test_a_frozen_run_is_finished_by_another_and_sends_nothing_when_it_resumes(worker: Worker, server: KsqlServer) -> None:
    server.fault("delay", match='"ksql":"CREATE STREAM big', seconds=1.5)  # not the dry run, whose text begins otherwise
    frozen = worker.popen("migrate", "apply", "--plan", "five.ksql")
    until_sync(lambda: any('"ksql":"CREATE STREAM big' in text for text in server.requests()), what="it has been sent")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        other = worker.run("migrate", "apply", "--plan", "five.ksql")
        assert other.returncode == 0, other.stderr
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    message, _ = frozen.communicate(timeout=60)
    assert frozen.returncode == 1, message
    assert "another runner has taken over" in message
    assert created(server) == NAMES
    assert worker.run("migrate", "status", "--plan", "five.ksql").returncode == 0


def test_unlock_stops_a_run_before_its_next_statement(worker: Worker, server: KsqlServer) -> None:
    server.fault("hold", match='"ksql":"CREATE STREAM big')
    runs = worker.popen("migrate", "apply", "--plan", "five.ksql")
    until_sync(lambda: any('"ksql":"CREATE STREAM big' in text for text in server.requests()), what="it has been sent")
    unlocked = worker.run("migrate", "unlock", "--json")
    assert (unlocked.returncode, list(json.loads(unlocked.stdout))) == (0, ["unlocked"])
    server.release()
    message, _ = runs.communicate(timeout=60)
    assert (runs.returncode, "another runner has taken over" in message) == (1, True), message
    assert created(server) == NAMES[:3]
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    assert created(server) == NAMES


@pytest.mark.parametrize("kind", ["before", "after", "error", "closed", "503", "429"])
async def test_no_statement_is_executed_twice_by_a_broken_connection_or_a_busy_server(
    where: Where, server: KsqlServer, kind: str
) -> None:
    for match in ('"ksql":"CREATE TABLE n_w', '"ksql":"INSERT INTO all_s'):
        server.fault(kind, match=match, times=1)
    async with where() as target:
        report = await runner.apply(target, five())
    assert len(report.applied) == 5
    assert created(server) == NAMES


@pytest.mark.parametrize("runners", [2, 10])
def test_concurrent_runners_execute_each_statement_once(worker: Worker, server: KsqlServer, runners: int) -> None:
    started = [worker.popen("migrate", "apply", "--plan", "five.ksql") for _ in range(runners)]
    for one in started:
        text, _ = one.communicate(timeout=120)
        assert one.returncode == 0, text
    assert created(server) == NAMES


async def test_a_writer_is_fenced_by_the_next_one(where: Where) -> None:
    async with where() as target:
        pass
    await history.ensure_topic(target.cluster, target.topic, 1)
    entry = Entry(
        id="x", hash="h", name="X", text="t", status="applied", app_id="an-app",  # type: ignore[arg-type]
        app_version="1", user="me", cluster_id="c", applied_at=1,
    )  # fmt: skip
    async with Writer(target.cluster, target.topic) as old:
        await old.write(entry)
        async with Writer(target.cluster, target.topic) as new:
            with pytest.raises(LockLostError, match="another runner has taken over"):
                await old.write(entry)
            await new.write(entry)
    assert list(await history.read(target.cluster, target.topic, "an-app")) == ["x"]
