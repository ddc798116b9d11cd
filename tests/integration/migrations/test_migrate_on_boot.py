"""Migrations when a worker starts."""

from __future__ import annotations

import json

import pytest

from tests.integration.migrations.plans import (
    created,
)
from tests.support.ksqldb import KsqlServer
from tests.support.ports import free_port
from tests.support.worker import Worker


def test_a_worker_applies_the_shipped_plan_in_the_background(worker: Worker, server: KsqlServer) -> None:
    worker.start()
    worker.wait_log("applied")
    worker.wait(lambda: worker.run("migrate", "status").returncode == 0, "the plan is applied")
    count = len(server.executed())
    assert count > 0
    worker.stop()
    asked = len(server.requests())
    worker.start()
    worker.wait_log("nothing to do")
    worker.stop()
    assert len(server.requests()) == asked + 1  # a start with nothing to do sends one request
    assert len(server.executed()) == count


def test_workers_that_start_together_apply_the_plan_once(worker: Worker, server: KsqlServer) -> None:
    second = Worker(worker.bootstrap, worker.directory / "second", **{**worker.settings, "web_port": str(free_port())})
    try:
        for one in (worker, second):
            one.spawn()
        for one in (worker, second):
            one.wait_log("migrations: ")
            one.wait(lambda one=one: "statements are applied" in one.log() or " applied" in one.log(), "it is done")  # type: ignore[misc]
        status = worker.run("migrate", "status", "--json")
        assert status.returncode == 0, status.stdout
        names = [step["name"] for step in json.loads(status.stdout)["steps"]]
        assert sorted(created(server)) == sorted(names)
    finally:
        second.end()


def test_a_worker_finishes_the_plan_of_one_that_was_killed_midway(worker: Worker, server: KsqlServer) -> None:
    midway = f'"ksql":"CREATE TABLE {worker.settings["topics_prefix"].replace("-", "_")}bar_1m_all'
    server.fault("delay", match=midway, times=1, seconds=1.0)
    second = Worker(worker.bootstrap, worker.directory / "second", **{**worker.settings, "web_port": str(free_port())})
    worker.spawn()
    worker.wait(lambda: any(midway in text for text in server.requests()), "it is midway")
    worker.kill()
    try:
        second.start()
        second.wait_log("applied")
        status = json.loads(second.run("migrate", "status", "--json").stdout)["steps"]
        assert sorted(created(server)) == sorted(step["name"] for step in status)
        assert {step["state"] for step in status} == {"done"}
    finally:
        second.end()


def test_with_require_a_worker_waits_for_a_server_that_is_starting(worker: Worker, server: KsqlServer) -> None:
    server.fault("503", times=3)
    worker.settings["migrate_on_boot"] = "require"
    worker.start()
    worker.stop()
    assert worker.log().count("503 Service Unavailable; trying again") == 3
    assert worker.run("migrate", "status").returncode == 0


def test_only_with_require_a_worker_waits_for_an_unreachable_ksqldb(worker: Worker, server: KsqlServer) -> None:
    server.kill()
    worker.settings["migrate_on_boot"] = "warn"
    worker.start()
    worker.wait_log("migrations: ")
    worker.stop()
    worker.settings["migrate_on_boot"] = "require"
    worker.spawn()
    worker.wait_log("trying again")
    assert not worker.ready()
    server.start()
    worker.wait(worker.ready, "it is ready")
    worker.stop()


@pytest.mark.parametrize(
    ("fault", "message", "code"),
    [
        ("refuse", 'the server would refuse the plan: line 1:1: Syntax Error "minutes" is a reserved keyword', 4),
        ("401", "check ksqldb_user and ksqldb_password", 1),
    ],
)
def test_with_require_a_plan_that_the_server_refuses_ends_the_worker_with_one_line(
    worker: Worker, server: KsqlServer, fault: str, message: str, code: int
) -> None:
    server.fault(fault, match="ksql", times=1_000)
    worker.settings["migrate_on_boot"] = "require"
    ended = worker.run("worker")
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert server.executed() == []


def test_in_the_background_a_plan_that_the_server_refuses_is_shown_and_tried_again(worker: Worker, server: KsqlServer) -> None:
    server.fault("refuse", match="EXPLAIN", times=1)
    worker.settings["migrate_on_boot"] = "warn"
    worker.start()
    worker.wait_log("the server would refuse the plan")
    worker.wait_log("6 applied")
    worker.stop()


def test_with_off_a_worker_sends_no_request_to_ksqldb(worker: Worker, server: KsqlServer) -> None:
    worker.settings["migrate_on_boot"] = "off"
    worker.start()
    worker.stop()
    assert server.requests() == []
