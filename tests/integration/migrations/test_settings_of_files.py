"""SET between the statements of a file: each statement is sent with what is set before it."""

from __future__ import annotations

import json
from typing import Any

from tests.support.ksqldb import KsqlServer
from tests.support.worker import Worker

TEXT = """SET 'auto.offset.reset'='earliest';
CREATE STREAM rates (code STRING KEY, rate DOUBLE) WITH (KAFKA_TOPIC='rates', PARTITIONS=1, VALUE_FORMAT='JSON');
CREATE STREAM high AS SELECT * FROM rates WHERE rate > 1 EMIT CHANGES;
SET 'auto.offset.reset'='latest';
CREATE STREAM low AS SELECT * FROM rates WHERE rate < 1 EMIT CHANGES;
UNSET 'auto.offset.reset';
SET 'processing.guarantee'='exactly_once_v2';
CREATE STREAM all_rates AS SELECT * FROM rates EMIT CHANGES;
"""
ONCE = {"processing.guarantee": "exactly_once_v2"}
FROM = {word: {"auto.offset.reset": word} for word in ("earliest", "latest")}


def test_each_statement_is_sent_and_checked_with_what_is_set_before_it(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "p.ksql").write_text(TEXT.replace("low AS SELECT *", "low AS SELECT nothing"))
    wrong = worker.run("migrate", "--plan", "p.ksql")
    assert (wrong.returncode, "NOTHING" in wrong.stderr, "[CREATE STREAM low" in wrong.stderr) == (4, True, True), wrong.stderr
    (worker.directory / "p.ksql").write_text(TEXT)
    checked = worker.run("migrate", "--plan", "p.ksql")
    assert checked.returncode == 3, checked.stderr
    asked = bodies(server)[-1]
    assert asked["streamsProperties"] == {}
    assert [line for line in asked["ksql"].splitlines() if "SET" in line.split()[0]] == [
        "SET 'auto.offset.reset'='earliest';",
        "SET 'auto.offset.reset'='latest';",
        "UNSET 'auto.offset.reset';",
        "SET 'processing.guarantee'='exactly_once_v2';",
    ]
    applied = worker.run("migrate", "apply", "--plan", "p.ksql")
    assert applied.returncode == 0, applied.stderr
    sent = {body["ksql"].split()[2]: body["streamsProperties"] for body in bodies(server) if body["ksql"].startswith("CREATE")}
    assert sent == {"rates": FROM["earliest"], "high": FROM["earliest"], "low": FROM["latest"], "all_rates": ONCE}


def bodies(server: KsqlServer) -> list[dict[str, Any]]:
    """The bodies of requests with statements."""
    found = [text.partition(" /ksql ")[2] for text in server.requests()]
    return [body for body in map(json.loads, filter(None, found)) if body["ksql"]]
