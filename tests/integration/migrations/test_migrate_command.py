"""`app migrate` on a server: plans are applied once, and neither drift nor changes go unnoticed."""

from __future__ import annotations

import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from migrations.errors import RefusedError
from migrations.plan import files as plan_files
from migrations.plan.compare import Action
from migrations.plan.model import KsqlText, build_plan
from migrations.run import history, runner
from migrations.run.adopt import adopt
from migrations.run.history import Writer
from tests.integration.migrations.plans import (
    FIVE,
    NAMES,
    Where,
    created,
    created_without_drops,
    five,
    query_ids,
)
from tests.support.ksqldb import KsqlServer
from tests.support.ports import free_port
from tests.support.worker import Worker


def test_a_plan_is_applied_once_and_a_second_run_finds_nothing_to_do(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", "five.ksql")
    dry = worker.run("migrate", *given)
    assert (dry.returncode, server.executed()) == (3, []), dry.stderr
    assert "5 pending, 0 done, and the server accepts it" in dry.stderr
    first = worker.run("migrate", "--apply", *given)
    assert first.returncode == 0, first.stderr
    assert "5 of 5 statements applied" in first.stdout
    assert created(server) == NAMES
    second = worker.run("migrate", "apply", *given)
    assert second.returncode == 0, second.stderr
    assert "nothing to do: 5 statements are applied" in second.stdout
    assert created(server) == NAMES
    status = worker.run("migrate", "status", "--json", *given)
    steps = json.loads(status.stdout)["steps"]
    assert [(step["name"], step["state"]) for step in steps] == [(name, "done") for name in NAMES]
    assert status.returncode == 0


def test_the_plan_bar1m_is_applied_once(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", str(plan_files.SHIPPED["bar1m"]))
    first = worker.run("migrate", "apply", *given)
    assert first.returncode == 0, first.stderr
    executed = server.executed()
    second = worker.run("migrate", "apply", *given)
    assert (second.returncode, "nothing to do" in second.stdout) == (0, True), second.stderr
    assert server.executed() == executed


def test_an_object_dropped_by_hand_is_drift_and_repair_creates_it_again(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", "five.ksql")
    assert worker.run("migrate", "apply", *given).returncode == 0
    server.ksql("DROP STREAM big;")
    status = worker.run("migrate", "status", *given)
    assert status.returncode == 4
    assert "missing" in status.stdout
    refused = worker.run("migrate", "apply", *given)
    assert refused.returncode == 4
    assert "apply --repair" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    repaired = worker.run("migrate", "apply", "--repair", *given)
    assert repaired.returncode == 0, repaired.stderr
    assert worker.run("migrate", "status", *given).returncode == 0
    assert created_without_drops(server) == [*NAMES, "BIG"]


def test_a_changed_windowed_aggregation_is_refused_with_a_remedy(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    (worker.directory / "five.ksql").write_text(FIVE.replace("GRACE PERIOD 5 SECONDS", "GRACE PERIOD 9 SECONDS"))
    refused = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert refused.returncode == 4
    assert "cannot be altered without losing its windows" in refused.stderr
    shown = worker.run("migrate", "diff", "--plan", "five.ksql")
    assert shown.returncode == 4
    assert "-  SELECT broker" in shown.stdout
    assert "GRACE PERIOD 9 SECONDS" in shown.stdout
    assert created(server) == NAMES


def test_a_change_that_the_server_can_alter_is_sent_as_create_or_replace(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    (worker.directory / "five.ksql").write_text(FIVE.replace("bid > 1 EMIT", "bid > 2 EMIT"))
    altered = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert altered.returncode == 0, altered.stderr
    assert created(server) == [*NAMES, "BIG"]
    assert server.executed()[-1].startswith("CREATE OR REPLACE STREAM big")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("apply", "--plan", "none.ksql"), 2, "none.ksql: no such file or directory"),
        (("frobnicate",), 2, "migrate frobnicate: must be plan, print"),
        (("plan", "--plan", "bad.ksql"), 2, "bad.ksql: line 2, column 8: the last statement does not end with ;"),
        (("plan", "--apply"), 2, "apply and plan at once"),
        (("status", "--user", "me"), 2, "migrate --user NAME --password-file FILE: both are needed"),
        (("status", "--user", "me", "--password-file", "none"), 2, "migrate --password-file none: cannot be read"),
        (("status", "--server", "localhost:8088"), 2, "migrate --server localhost:8088: must look like http://host:8088"),
        (("status", "--registry", "http://a:b@c"), 2, "migrate --registry http://a:b@c: must not hold a user"),
        (("--repair",), 2, "migrate check --repair: it goes with `migrate apply` only"),
        (("status", "--until", "five"), 2, "migrate status --until: it goes with `migrate apply` only"),
        (("apply", "--readers-moved"), 2, "migrate apply --readers-moved: it goes with `migrate retire` only"),
        (("apply", "--force-new-name", "--next"), 2, "migrate --next --force-new-name: a swap is done whole; leave --next out"),
        (("apply", "--plan", "no_topic.ksql"), 4, "`app topics` creates the topics of this app."),
        (
            ("apply", "--plan", "no_topic.ksql"),
            4,
            "no_topic.ksql, line 2: the server would refuse the plan: Topic 'none'",
        ),
        (
            ("apply", "--plan", "refused.ksql"),
            4,
            "refused.ksql, line 3: the server would refuse the plan: line 2:25",
        ),
        (("apply", "--force-new-name", "--plan", "five.ksql"), 4, "nothing of the plan has changed that cannot be altered"),
    ],
)
def test_an_unusable_plan_or_option_is_reported_in_one_line(
    worker: Worker, args: tuple[str, ...], code: int, message: str
) -> None:
    (worker.directory / "bad.ksql").write_text("CREATE TYPE a AS STRUCT<b BIGINT>;\n       CREATE STREAM")
    types = "CREATE TYPE a AS STRUCT<b BIGINT>;\n-- one\n"
    window = "WINDOW date TUMBLING (SIZE 1 DAY)"  # a keyword, which only the server knows not to be a window's name
    (worker.directory / "refused.ksql").write_text(f"{types}CREATE TABLE b AS\n SELECT a FROM s {window} GROUP BY a;")
    stream = "CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='none', VALUE_FORMAT='JSON');"
    (worker.directory / "no_topic.ksql").write_text(f"-- one\n{stream}")
    ended = worker.run("migrate", *args)
    assert ended.returncode == code
    assert message in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    for_programs = worker.run("migrate", *args, "--json")
    assert (for_programs.returncode, json.loads(for_programs.stdout)["exit_code"]) == (code, code)
    assert message in json.loads(for_programs.stdout)["error"]


def test_an_unreachable_broker_exits_with_1_and_not_with_3(worker: Worker) -> None:
    worker.settings["broker"] = f"kafka://127.0.0.1:{free_port()}"
    with ThreadPoolExecutor() as pool:  # each waits as long as it waits for a broker
        results = list(pool.map(lambda operation: worker.run("migrate", operation, "--json"), ("status", "unlock")))
    for ended in results:
        assert (ended.returncode, json.loads(ended.stdout)["exit_code"]) == (1, 1), ended.stderr
    for operation in ("plan", "print", "validate"):  # these need no broker
        assert worker.run("migrate", operation).returncode == 0


def test_the_plans_of_an_app_are_independent(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "other.ksql").write_text("CREATE TYPE a AS STRUCT<b BIGINT>;")
    for plan in ("five.ksql", "other.ksql"):
        assert worker.run("migrate", "apply", "--plan", plan).returncode == 0
    steps = json.loads(worker.run("migrate", "status", "--json", "--plan", "other.ksql").stdout)["steps"]
    assert [step["id"] for step in steps] == ["other/A"]
    (worker.directory / "five.ksql").write_text("CREATE TYPE c AS STRUCT<b BIGINT>;")
    steps = json.loads(worker.run("migrate", "status", "--json", "--plan", "five.ksql").stdout)["steps"]
    assert [(step["name"], step["state"]) for step in steps] == [("C", "apply"), *((name, "left") for name in NAMES)]


async def test_drift_on_another_kafka_cluster_is_explained(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, five())
        async with Writer(target.cluster, target.topic) as writer:
            for entry in (await history.read(target.cluster, target.topic, "an-app")).values():
                await writer.write(msgspec.structs.replace(entry, cluster_id="another"))
        asked = len(server.requests())
        assert all(step.action is Action.done for step in await runner.survey(target, five()))
        assert len(server.requests()) == asked + 1
        server.ksql("DROP STREAM big;")
        steps = await runner.survey(target, five())
    message = "it was applied on Kafka cluster another, and this server is on stand-in: is ksqldb_url the right one?"
    assert [step.why.startswith(message) for step in steps] == [False, False, True, False, False]


def test_a_plan_that_the_server_would_reject_is_refused_before_anything_is_sent(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "bad.ksql").write_text(FIVE + "CREATE TABLE w AS SELECT * FROM n_w EMIT CHANGES;")
    for args in (("migrate",), ("migrate", "--apply")):
        ended = worker.run(*args, "--plan", "bad.ksql")
        assert ended.returncode == 4
        assert "does not support persistent queries on windowed tables" in ended.stderr.splitlines()[-1]
    assert server.executed() == []


def test_a_terminated_query_is_drift_although_its_stream_exists(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    query = next(name for name in query_ids(server) if name.startswith("CSAS_BIG"))
    server.ksql(f"TERMINATE {query};")
    status = worker.run("migrate", "status", "--plan", "five.ksql")
    assert status.returncode == 4
    assert f"its query {query} is gone, so it processes nothing: drop BIG" in status.stdout
    server.ksql("DROP STREAM big;")
    assert worker.run("migrate", "apply", "--repair", "--plan", "five.ksql").returncode == 0
    assert worker.run("migrate", "status", "--plan", "five.ksql").returncode == 0


def test_a_plan_is_applied_step_by_step_and_the_history_tells_it(worker: Worker, server: KsqlServer) -> None:
    plan = worker.directory / "steps"
    plan.mkdir()
    for name in ("first", "second", "third"):
        made = worker.run("migrate", "create", name, "--plan", "steps")
        assert made.returncode == 0, made.stderr
        text = f"CREATE STREAM ${{before}}{name} (v BIGINT) WITH (KAFKA_TOPIC='{name}', PARTITIONS=1, VALUE_FORMAT='JSON');"
        (worker.directory / made.stdout.strip()).write_text(text)
    given = ("--plan", "steps", "--define", "before=my_")
    assert worker.run("migrate", "apply", "--next", *given).returncode == 0
    assert created(server) == ["MY_FIRST"]
    assert worker.run("migrate", "apply", "--until", "0002_second", *given).returncode == 0
    assert created(server) == ["MY_FIRST", "MY_SECOND"]
    unknown = worker.run("migrate", "apply", "--until", "0004", *given)
    assert (unknown.returncode, "--until 0004: the plan has no such id or file" in unknown.stderr) == (2, True)
    assert worker.run("migrate", "apply", *given).returncode == 0
    told = json.loads(worker.run("migrate", "history", "--json").stdout)["history"]
    assert [row["migration"] for row in told] == ["0001_first/MY_FIRST", "0002_second/MY_SECOND", "0003_third/MY_THIRD"]
    assert {row["status"] for row in told} == {"applied"}
    assert "0003_third/MY_THIRD" in worker.run("migrate", "history").stdout


def test_a_plan_whose_file_is_renamed_adopts_its_own_statements(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    executed = server.executed()
    (worker.directory / "six.ksql").write_text((worker.directory / "five.ksql").read_text())
    refused = worker.run("migrate", "apply", "--plan", "six.ksql")
    assert refused.returncode == 4
    assert "applied before as five/TICKS_S of the plan five: `migrate adopt` takes it over" in refused.stderr
    adopted = worker.run("migrate", "adopt", "--plan", "six.ksql")
    assert adopted.returncode == 0, adopted.stderr
    assert adopted.stdout.splitlines() == [f"six/{name}: applied as five/{name}" for name in NAMES]
    assert worker.run("migrate", "status", "--plan", "six.ksql").returncode == 0
    assert server.executed() == executed
    (worker.directory / "five.ksql").write_text(FIVE.replace("bid > 1", "bid > 2"))  # not the same statement any more
    back = worker.run("migrate", "adopt", "--plan", "five.ksql")
    assert [line.partition(":")[0] for line in back.stdout.splitlines()] == [f"five/{name}" for name in NAMES if name != "BIG"]
    status = json.loads(worker.run("migrate", "status", "--json", "--plan", "five.ksql").stdout)["steps"]
    assert {step["name"]: step["state"] for step in status if step["state"] != "done"} == {"BIG": "refused"}


async def test_what_was_changed_by_hand_is_not_adopted(where: Where, server: KsqlServer) -> None:
    moved = build_plan("six", [KsqlText(FIVE, "six", "six")], {}, {"ksql.streams.auto.offset.reset": "earliest"})
    async with where() as target:
        await runner.apply(target, five())
        server.ksql("CREATE OR REPLACE STREAM big AS SELECT * FROM ticks_s WHERE bid > 100 EMIT CHANGES;")
        before = await history.read(target.cluster, target.topic, "an-app")
        with pytest.raises(RefusedError, match=r"six/BIG \(BIG\): the server's text is not the one it had"):
            await adopt(target, moved)
        assert await history.read(target.cluster, target.topic, "an-app") == before


def test_user_and_headers_of_a_command_are_shown_to_the_server(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "secret").write_text("pass\nmore\n")
    worker.settings |= {
        "ksqldb_headers": "X-Tenant: fx",
        "ksqldb_timeout": "5s",
        "ksqldb_retry_for": "3s",
        "ksqldb_backoff": "50ms",
    }
    shown = worker.run("migrate", "status", "--user", "me", "--password-file", "secret", "--plan", "five.ksql")
    assert shown.returncode == 3, shown.stderr
    assert server.headers()["Authorization"] == f"Basic {b64encode(b'me:pass').decode()}"
    assert server.headers()["X-Tenant"] == "fx"


def test_a_schema_registry_that_cannot_be_reached_is_a_note(worker: Worker, server: KsqlServer) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    status = worker.run("migrate", "status", "--registry", away, "--plan", "five.ksql")
    assert (status.returncode, server.executed()) == (3, []), status.stderr
    assert f"Schema Registry at {away}" in status.stderr
    assert "statements with AVRO, PROTOBUF or JSON_SR need it" in status.stderr


def test_health_counts_the_objects_and_names_queries_that_do_not_run(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    well = worker.run("migrate", "health")
    assert well.returncode == 0, well.stderr
    assert "RUNNING, healthy\n3 streams, 1 tables, 3 queries" in well.stdout
    server.ksql("PAUSE ALL_WRITER;")
    paused = worker.run("migrate", "health", "--json")
    assert paused.returncode == 1
    assert json.loads(paused.stdout)["troubled"] == {"ALL_WRITER": "PAUSED"}
