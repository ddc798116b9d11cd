"""What only reads in a plan's files is left out by every operation, and said."""

from __future__ import annotations

import json

from tests.integration.migrations.plans import FIVE, NAMES, created
from tests.support.ksqldb import KsqlServer
from tests.support.worker import Worker

READS = "SHOW STREAMS;\nSELECT a[1], 'x' FROM big EMIT CHANGES LIMIT 3;\nEXPLAIN ALL_WRITER;\n"
LINES = [
    "five.sql:1: SHOW STREAMS;: reads only; left out",
    "five.sql:2: SELECT a[1], 'x' FROM big EMIT CHANGES LIMIT 3;: reads only; left out",
    "five.sql:3: EXPLAIN ALL_WRITER;: reads only; left out",
]


def test_reads_are_said_and_counted_and_in_no_history(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", "five.sql")
    (worker.directory / "five.sql").write_text(READS + FIVE)
    validated = worker.run("migrate", "plan", "validate", *given)
    assert validated.returncode == 0, validated.stderr
    assert validated.stderr.splitlines() == LINES
    assert validated.stdout.startswith("five: 5 statements can be applied; 3 that only read are left out; ")
    printed = worker.run("migrate", "plan", "print", *given)
    assert (printed.stderr.splitlines(), "EXPLAIN" in printed.stdout) == (LINES, False)
    shown = json.loads(worker.run("migrate", "plan", "--json", *given).stdout)
    assert [(one["line"], one["why"]) for one in shown["left_out"]] == [(1, "reads only"), (2, "reads only"), (3, "reads only")]
    dry = worker.run("migrate", *given)
    assert "5 pending, 0 done; 3 that only read are left out, and the server accepts it" in dry.stderr
    applied = worker.run("migrate", "apply", *given)
    assert applied.returncode == 0, applied.stderr
    assert applied.stderr.splitlines()[:3] == LINES
    assert applied.stdout == "5 of 5 statements applied; 3 that only read are left out\n"
    assert created(server) == NAMES
    history = json.loads(worker.run("migrate", "history", "--json").stdout)["history"]
    assert [one["name"] for one in history] == NAMES
    (worker.directory / "five.sql").write_text(FIVE)
    again = worker.run("migrate", "apply", "--json", *given)
    assert (again.returncode, json.loads(again.stdout)) == (0, {"plan": "five", "applied": [], "left_out": []}), again.stderr
    status = worker.run("migrate", "status", *given)
    assert (status.returncode, "nothing to do: 5 statements are applied" in status.stderr) == (0, True)


def test_a_plan_that_only_reads_has_nothing_to_do(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "reads.sql").write_text(READS)
    applied = worker.run("migrate", "apply", "--plan", "reads.sql")
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout == "nothing to do: 0 statements are applied; 3 that only read are left out\n"
    assert server.executed() == []
    until = worker.run("migrate", "apply", "--until", "reads", "--plan", "reads.sql")
    assert (until.returncode, until.stderr.splitlines()[-1]) == (
        2,
        "app: --until reads: that file only reads; name one before it",
    )
