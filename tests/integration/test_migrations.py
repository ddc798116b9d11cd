"""Plans on a server: applied once, whoever runs them and whenever they are cut off; drift and changes are never passed over."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.cluster import Cluster
from app.kafka.topics import TopicSpec, ensure_one
from migrations.errors import LockLostError, RefusedError
from migrations.plan import files as plan_files
from migrations.plan.compare import Action
from migrations.plan.entry import Entry
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run import backfill, history, runner, swap
from migrations.run.history import Writer
from migrations.run.target import Target
from migrations.server.client import KsqlClient
from tests.support.ksqldb import KsqlServer, running_server
from tests.support.waiting import until, until_sync
from tests.support.worker import Worker, free_port

FIVE = """
CREATE STREAM ticks_s (broker STRING KEY, symbol STRING KEY, ts BIGINT, bid DECIMAL(18,8))
  WITH (KAFKA_TOPIC='ticks', PARTITIONS=2, KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON');
CREATE TABLE n_w WITH (KAFKA_TOPIC='n_w', KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS
  SELECT broker, symbol, COUNT(*) AS n FROM ticks_s WINDOW TUMBLING (SIZE 1 MINUTE, RETENTION 7 DAYS, GRACE PERIOD 5 SECONDS)
  GROUP BY broker, symbol EMIT CHANGES;
CREATE STREAM big WITH (KAFKA_TOPIC='big') AS SELECT * FROM ticks_s WHERE bid > 1 EMIT CHANGES;
CREATE STREAM all_s (broker STRING KEY, symbol STRING KEY, ts BIGINT, bid DECIMAL(18,8))
  WITH (KAFKA_TOPIC='all_s', PARTITIONS=2, KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON');
INSERT INTO all_s WITH (QUERY_ID='ALL_WRITER') SELECT * FROM ticks_s EMIT CHANGES;
"""
NAMES = ["TICKS_S", "N_W", "BIG", "ALL_S", "ALL_WRITER"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KsqlServer]:
    """A stand-in ksqlDB."""
    with running_server(tmp_path) as made:
        yield made


@pytest.fixture
def worker(pocket: str, server: KsqlServer, tmp_path: Path) -> Iterator[Worker]:
    """A worker's settings with that server, for commands and to be started."""
    made = Worker(pocket, tmp_path / "worker", topic_partitions="1", ksqldb_url=server.url)
    (made.directory / "five.ksql").write_text(FIVE)
    for topic in (made.ticks_topic, made.finals_topic):
        server.topic(topic)
    yield made
    made.end()


def five(text: str = FIVE) -> Plan:
    """The plan of five statements, or with another text."""
    sources = [KsqlText(text, "five", "five")]
    return build_plan("five", sources, {}, {"ksql.streams.auto.offset.reset": "earliest"})


Where = Callable[[], AbstractAsyncContextManager[Target]]


@pytest.fixture
def where(pocket: str, server: KsqlServer) -> Where:
    """Targets with one history."""
    topic = f"{uuid4().hex[:8]}-history"

    @asynccontextmanager
    async def make() -> AsyncIterator[Target]:
        async with KsqlClient(server.url, read_seconds=5.0, try_seconds=20.0) as client:
            yield Target(client, Cluster(pocket), topic, "an-app", "me", session_ms=3_000)

    return make


def made(server: KsqlServer) -> list[str]:
    """The names that executed statements made, in order."""
    found = []
    for text in server.executed():
        named = re.search(r"QUERY_ID='(\w+)'", text) or re.match(r"\s*CREATE (?:OR REPLACE )?(?:STREAM|TABLE) (\w+)", text)
        assert named, text
        found.append(named[1].upper())
    return found


# ---- the command


def test_a_plan_is_applied_once_and_the_second_time_says_that_there_is_nothing_to_do(
    worker: Worker, server: KsqlServer
) -> None:
    given = ("--plan", "five.ksql")
    dry = worker.run("migrate", *given)
    assert (dry.returncode, server.executed()) == (3, []), dry.stderr
    assert "5 pending, 0 done, and the server accepts it" in dry.stderr
    first = worker.run("migrate", "--apply", *given)
    assert first.returncode == 0, first.stderr
    assert "5 of 5 statements applied" in first.stdout
    assert made(server) == NAMES
    second = worker.run("migrate", "apply", *given)
    assert second.returncode == 0, second.stderr
    assert "nothing to do: 5 statements are applied" in second.stdout
    assert made(server) == NAMES
    status = worker.run("migrate", "status", "--json", *given)
    steps = json.loads(status.stdout)["steps"]
    assert [(step["name"], step["state"]) for step in steps] == [(name, "done") for name in NAMES]
    assert status.returncode == 0


def test_the_plan_in_which_ksqldb_computes_the_bars_is_applied_once_too(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", str(plan_files.SHIPPED["bar1m"]))
    first = worker.run("migrate", "apply", *given)
    assert first.returncode == 0, first.stderr
    executed = server.executed()
    second = worker.run("migrate", "apply", *given)
    assert (second.returncode, "nothing to do" in second.stdout) == (0, True), second.stderr
    assert server.executed() == executed


def test_what_is_dropped_by_hand_is_drift_and_made_again_only_when_asked(worker: Worker, server: KsqlServer) -> None:
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
    assert made_without_drops(server) == [*NAMES, "BIG"]


def made_without_drops(server: KsqlServer) -> list[str]:
    """As `made`, where somebody dropped something."""
    return [
        text.split()[2].upper() if text.startswith("CREATE") else "ALL_WRITER"
        for text in server.executed()
        if "DROP" not in text
    ]


def test_a_changed_windowed_aggregation_is_refused_with_the_way_out(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    (worker.directory / "five.ksql").write_text(FIVE.replace("GRACE PERIOD 5 SECONDS", "GRACE PERIOD 9 SECONDS"))
    refused = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert refused.returncode == 4
    assert "cannot be altered without losing its windows" in refused.stderr
    shown = worker.run("migrate", "diff", "--plan", "five.ksql")
    assert shown.returncode == 4
    assert "-  SELECT broker" in shown.stdout
    assert "GRACE PERIOD 9 SECONDS" in shown.stdout
    assert made(server) == NAMES


def test_a_changed_windowed_aggregation_is_built_under_a_new_name_and_swapped_and_the_old_one_retired(
    worker: Worker, server: KsqlServer
) -> None:
    """Its readers follow it, the writer into the table that others read is replaced, and the plan says the same names on."""
    more = """
    CREATE STREAM n_raw (broker STRING, symbol STRING, n BIGINT)
      WITH (KAFKA_TOPIC='n_w', KEY_FORMAT='NONE', VALUE_FORMAT='JSON');
    CREATE STREAM served (broker STRING KEY, n BIGINT) WITH (KAFKA_TOPIC='served', PARTITIONS=2, VALUE_FORMAT='JSON');
    INSERT INTO served WITH (QUERY_ID='SERVED_WRITER') SELECT broker, n FROM n_raw PARTITION BY broker EMIT CHANGES;
    """
    plan = worker.directory / "plan.ksql"
    given = ("--plan", "plan.ksql")
    plan.write_text(FIVE + more)
    assert worker.run("migrate", "apply", *given).returncode == 0
    before = len(server.executed())
    plan.write_text(plan.read_text().replace("GRACE PERIOD 5 SECONDS", "GRACE PERIOD 9 SECONDS"))
    swapped = worker.run("migrate", "apply", "--force-new-name", *given)
    assert swapped.returncode == 0, swapped.stderr
    sent = [" ".join(text.split()) for text in server.executed()[before:]]
    assert [text.split(" WITH")[0] for text in sent[:3]] == [
        "CREATE TABLE N_W_V2",
        "CREATE STREAM N_RAW_V2 (broker STRING, symbol STRING, n BIGINT)",
        "INSERT INTO served",
    ]
    assert "KAFKA_TOPIC='n_w_v2'" in sent[0]
    assert "GRACE PERIOD 9" in sent[0]
    assert "KAFKA_TOPIC='n_w_v2'" in sent[1]
    assert "QUERY_ID='SERVED_WRITER_V2'" in sent[2]
    assert "FROM N_RAW_V2" in sent[2]
    assert sent[3:] == ["PAUSE SERVED_WRITER;"]
    assert worker.run("migrate", "status", *given).returncode == 0
    plan.write_text(plan.read_text() + "CREATE STREAM late_reader WITH (KAFKA_TOPIC='lr') AS SELECT * FROM n_raw EMIT CHANGES;")
    assert worker.run("migrate", "apply", *given).returncode == 0
    assert "FROM N_RAW_V2" in server.executed()[-1]
    retired = worker.run("migrate", "retire", *given)
    assert retired.returncode == 0, retired.stderr
    assert retired.stdout.splitlines() == ["TERMINATE SERVED_WRITER;", "DROP STREAM `N_RAW`;", "DROP TABLE `N_W`;"]
    assert worker.run("migrate", "status", *given).returncode == 0


@pytest.fixture
def swapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swaps look again at once."""
    monkeypatch.setattr(backfill, "POLL_SECONDS", 0.05)


CHANGED = FIVE.replace("GRACE PERIOD 5 SECONDS", "GRACE PERIOD 9 SECONDS")


async def test_a_new_half_is_not_swapped_in_before_its_queries_have_read_what_there_is(
    where: Where, server: KsqlServer, pocket: str, swapping: None
) -> None:
    """A query that has just been made has committed nothing: the server names no lag, and it has read nothing."""
    topic = f"{uuid4().hex[:8]}-ticks"
    plan, changed = (text.replace("KAFKA_TOPIC='ticks'", f"KAFKA_TOPIC='{topic}'") for text in (FIVE, CHANGED))
    await ensure_one(Cluster(pocket), TopicSpec(topic, 1, {}, "ticks"), 1)
    async with AIOKafkaProducer(bootstrap_servers=pocket) as producer:
        await producer.send_and_wait(topic, b"{}")
    async with where() as target:
        await runner.apply(target, five(plan))
        server.committed(now=False)
        running = asyncio.create_task(swap.force_new_name(target, five(changed)))
        await until(lambda: asked_since(server, "CREATE TABLE N_W_V2") > 5, what="it asks how far they are, again and again")
        assert not running.done()
        assert (await history.read(target.cluster, target.topic, "an-app"))["five/N_W"].name == "N_W"
        server.committed(now=True)
        await running
        assert (await history.read(target.cluster, target.topic, "an-app"))["five/N_W"].name == "N_W_V2"


def test_what_the_server_does_not_alter_is_swapped_too(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", "plan.ksql")
    plan = worker.directory / "plan.ksql"
    plain = "CREATE TABLE last WITH (KAFKA_TOPIC='last') AS SELECT broker, MAX(bid) AS bid FROM ticks_s GROUP BY broker"
    plan.write_text(FIVE + plain + ";")
    assert worker.run("migrate", "apply", *given).returncode == 0
    plan.write_text(FIVE.replace("bid > 1 EMIT", "bid > 2 EMIT") + plain.replace("AS bid", "AS newest") + ";")
    refused = worker.run("migrate", "apply", *given)
    assert (refused.returncode, "gets a new name: `apply --force-new-name`" in refused.stderr) == (4, True), refused.stderr
    swapped = worker.run("migrate", "apply", "--force-new-name", *given)
    assert swapped.returncode == 0, swapped.stderr
    assert made(server) == [*NAMES, "LAST", "LAST_V2"]
    assert worker.run("migrate", "apply", *given).returncode == 0  # BIG is altered, as ever
    assert made(server) == [*NAMES, "LAST", "LAST_V2", "BIG"]


async def test_a_new_half_is_not_built_on_the_records_of_an_earlier_one(
    where: Where, server: KsqlServer, pocket: str, swapping: None
) -> None:
    topic = f"{uuid4().hex[:8]}_n"
    plan, changed = (text.replace("KAFKA_TOPIC='n_w'", f"KAFKA_TOPIC='{topic}'") for text in (FIVE, CHANGED))
    await ensure_one(Cluster(pocket), TopicSpec(f"{topic}_v2", 1, {}, "left by an earlier swap"), 1)
    async with where() as target:
        await runner.apply(target, five(plan))
        async with AIOKafkaProducer(bootstrap_servers=pocket) as producer:
            await producer.send_and_wait(f"{topic}_v2", b"{}")
        with pytest.raises(RefusedError, match=f"topic {topic}_v2 holds 1 records of an earlier N_W_V2; delete it"):
            await swap.force_new_name(target, five(changed))
    assert made(server) == NAMES


def test_a_swap_is_rolled_back_and_what_it_made_is_retired(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", "plan.ksql")
    plan = worker.directory / "plan.ksql"
    nothing = worker.run("migrate", "rollback", "--plan", "five.ksql")
    assert (nothing.returncode, "nothing was swapped" in nothing.stderr) == (4, True), nothing.stderr
    plan.write_text(SWAP.replace("9 SECONDS", "5 SECONDS"))
    assert worker.run("migrate", "apply", *given).returncode == 0
    plan.write_text(SWAP)
    assert worker.run("migrate", "apply", "--force-new-name", *given).returncode == 0
    back = worker.run("migrate", "rollback", *given)
    assert (back.returncode, back.stdout) == (0, "RESUME N_WRITER;\nPAUSE N_WRITER_V2;\n"), back.stderr
    assert worker.run("migrate", "status", *given).returncode == 4  # the plan still says the other text
    again = worker.run("migrate", "apply", "--force-new-name", *given)
    assert (again.returncode, "`app migrate retire`, if it was rolled back" in again.stderr) == (4, True)
    plan.write_text(SWAP.replace("9 SECONDS", "5 SECONDS"))
    assert worker.run("migrate", "status", *given).returncode == 0
    retired = worker.run("migrate", "retire", *given)
    assert retired.stdout.splitlines() == ["TERMINATE N_WRITER_V2;", "DROP STREAM `N_RAW_V2`;", "DROP TABLE `N_W_V2`;"]
    assert worker.run("migrate", "status", *given).returncode == 0
    health = json.loads(worker.run("migrate", "health", "--json").stdout)
    assert health["troubled"] == {}


def asked_since(server: KsqlServer, sent: str) -> int:
    """How many requests there were since a statement was sent; 0 while it was not."""
    requests = server.requests()
    return next(
        (len(requests) - n for n, text in enumerate(requests) if f'"ksql":"{sent}' in text and "EXPLAIN" not in text), 0
    )


SWAP = CHANGED + "CREATE STREAM n_raw (n BIGINT) WITH (KAFKA_TOPIC='n_w', KEY_FORMAT='NONE', VALUE_FORMAT='JSON');"
SWAP += "INSERT INTO all_s WITH (QUERY_ID='N_WRITER') SELECT * FROM n_raw EMIT CHANGES;"


@pytest.mark.parametrize("statement", ["N_W_V2", "N_RAW_V2", "N_WRITER_V2"])
async def test_a_swap_that_is_cut_off_anywhere_is_finished_by_the_same_command(
    where: Where, server: KsqlServer, statement: str, swapping: None
) -> None:
    async with where() as target:
        await runner.apply(target, five(SWAP.replace("9 SECONDS", "5 SECONDS")))
        before = len(server.executed())
        for point in POINTS:
            with pytest.MonkeyPatch.context() as patch:
                cut_off(patch, point, statement)
                with pytest.raises(CutOffError, match=point):
                    await swap.force_new_name(target, five(SWAP))
        for step in ("PAUSE", "the history"):
            with pytest.MonkeyPatch.context() as patch:
                cut_off_late(patch, step)
                with pytest.raises(CutOffError, match=step):
                    await swap.force_new_name(target, five(SWAP))
        await swap.force_new_name(target, five(SWAP))
        made = [text.split("(")[0].split(" WITH")[0].strip() for text in server.executed()[before:]]
        assert [text for text in made if text != "PAUSE N_WRITER;"] == [
            "CREATE TABLE N_W_V2",
            "CREATE STREAM N_RAW_V2",
            "INSERT INTO all_s",
        ]
        assert all(step.action in (Action.done, Action.left) for step in await runner.survey(target, five(SWAP)))


def cut_off_late(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """End the next swap when all is built."""
    execute = KsqlClient.execute

    async def cut_execute(self: KsqlClient, text: str, *more: object) -> object:
        if step == "PAUSE" and text.startswith("PAUSE"):
            raise CutOffError(step)
        return await execute(self, text, *more)  # type: ignore[arg-type]

    async def cut_write(self: Writer, app_id: str, entries: list[Entry], gone: list[str] | None = None) -> None:
        if step == "the history" and gone:
            raise CutOffError(step)
        await write(self, app_id, entries, gone or [])

    write = Writer.write_all
    monkeypatch.setattr(KsqlClient, "execute", cut_execute)
    monkeypatch.setattr(Writer, "write_all", cut_write)


async def test_a_swap_that_was_cut_off_is_not_finished_with_another_text(
    where: Where, server: KsqlServer, swapping: None
) -> None:
    async with where() as target:
        await runner.apply(target, five())
        with pytest.MonkeyPatch.context() as patch:
            cut_off_late(patch, "the history")
            with pytest.raises(CutOffError, match="the history"):
                await swap.force_new_name(target, five(CHANGED))
        other = CHANGED.replace("9 SECONDS", "8 SECONDS")
        with pytest.raises(RefusedError, match="N_W_V2 is left of an interrupted swap and differs from the plan"):
            await swap.force_new_name(target, five(other))
        server.ksql("DROP TABLE n_w_v2;")
        await swap.force_new_name(target, five(other))
    assert "8 SECONDS" in server.executed()[-1]


def test_what_the_server_can_alter_is_altered(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    (worker.directory / "five.ksql").write_text(FIVE.replace("bid > 1 EMIT", "bid > 2 EMIT"))
    altered = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert altered.returncode == 0, altered.stderr
    assert made(server) == [*NAMES, "BIG"]
    assert server.executed()[-1].startswith("CREATE OR REPLACE STREAM big")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("apply", "--plan", "none.ksql"), 2, "none.ksql: no such file or directory"),
        (("frobnicate",), 2, "migrate frobnicate: must be plan, print"),
        (("plan", "--plan", "bad.ksql"), 2, "bad.ksql: line 2, column 8: the last statement does not end with ;"),
        (("plan", "--apply"), 2, "apply and plan at once"),
        (("status", "--server", "localhost:8088"), 2, "migrate --server localhost:8088: must look like http://host:8088"),
        (("status", "--registry", "http://a:b@c"), 2, "migrate --registry http://a:b@c: must not hold a user"),
        (("apply", "--force-new-name", "--plan", "five.ksql"), 4, "nothing of the plan has changed that cannot be altered"),
    ],
)
def test_what_cannot_be_used_is_one_line(worker: Worker, args: tuple[str, ...], code: int, said: str) -> None:
    (worker.directory / "bad.ksql").write_text("CREATE TYPE a AS STRUCT<b BIGINT>;\n       CREATE STREAM")
    ended = worker.run("migrate", *args)
    assert ended.returncode == code
    assert said in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    for_programs = worker.run("migrate", *args, "--json")
    assert (for_programs.returncode, json.loads(for_programs.stdout)["exit_code"]) == (code, code)
    assert said in json.loads(for_programs.stdout)["error"]


def test_where_nothing_was_ever_applied_nothing_is_retired(worker: Worker) -> None:
    ended = worker.run("migrate", "retire")
    assert (ended.returncode, ended.stdout) == (0, "nothing has been replaced\n"), ended.stderr


def test_a_broker_that_is_away_is_a_failure_and_not_something_pending(worker: Worker) -> None:
    worker.settings["broker"] = f"kafka://127.0.0.1:{free_port()}"
    for deed in ("status", "unlock"):
        ended = worker.run("migrate", deed, "--json")
        assert (ended.returncode, json.loads(ended.stdout)["exit_code"]) == (1, 1), ended.stderr
    for deed in ("plan", "print", "validate"):  # need nobody
        assert worker.run("migrate", deed).returncode == 0


def test_plans_of_one_app_leave_each_other_alone(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "other.ksql").write_text("CREATE TYPE a AS STRUCT<b BIGINT>;")
    for plan in ("five.ksql", "other.ksql"):
        assert worker.run("migrate", "apply", "--plan", plan).returncode == 0
    steps = json.loads(worker.run("migrate", "status", "--json", "--plan", "other.ksql").stdout)["steps"]
    assert [step["id"] for step in steps] == ["other/A"]
    (worker.directory / "five.ksql").write_text("CREATE TYPE c AS STRUCT<b BIGINT>;")
    steps = json.loads(worker.run("migrate", "status", "--json", "--plan", "five.ksql").stdout)["steps"]
    assert [(step["name"], step["state"]) for step in steps] == [("C", "apply"), *((name, "left") for name in NAMES)]


async def test_the_history_of_another_server_is_not_called_drift_without_saying_so(where: Where, server: KsqlServer) -> None:
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
    said = "it was applied on Kafka cluster another, and this server is on stand-in: is ksqldb_url the right one?"
    assert [step.why.startswith(said) for step in steps] == [False, False, True, False, False]


def test_what_the_server_would_refuse_is_known_before_anything_is_sent(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "bad.ksql").write_text(FIVE + "CREATE TABLE w AS SELECT * FROM n_w EMIT CHANGES;")
    for args in (("migrate",), ("migrate", "--apply")):
        ended = worker.run(*args, "--plan", "bad.ksql")
        assert ended.returncode == 4
        assert "does not support persistent queries on windowed tables" in ended.stderr.splitlines()[-1]
    assert server.executed() == []


# ---- cut off


class CutOffError(Exception):
    """Stands for the end of the process: nothing after it runs, but the lock is let go, so that tests need not wait for it."""


POINTS = ["before it is recorded as being sent", "before it is sent", "after it was sent", "before it is recorded as applied"]


def cut_off(monkeypatch: pytest.MonkeyPatch, point: str, statement: str) -> None:
    """End the next run at a point of a statement."""
    write, execute = Writer.write, KsqlClient.execute

    async def cut_write(self: Writer, entry: Entry) -> None:
        at = POINTS[0] if entry.status == "sending" else POINTS[3]
        if entry.name == statement and at == point:
            raise CutOffError(point)
        await write(self, entry)

    async def cut_execute(self: KsqlClient, text: str, *more: object) -> object:
        named = statement.lower() in text.split("(", maxsplit=1)[0].lower() or f"'{statement}'" in text
        if named and point == POINTS[1]:
            raise CutOffError(point)
        found = await execute(self, text, *more)  # type: ignore[arg-type]
        if named and point == POINTS[2]:
            raise CutOffError(point)
        return found

    monkeypatch.setattr(Writer, "write", cut_write)
    monkeypatch.setattr(KsqlClient, "execute", cut_execute)


async def test_a_run_that_is_cut_off_anywhere_is_finished_by_the_next_and_each_statement_is_executed_once(
    where: Where, server: KsqlServer
) -> None:
    for name in NAMES:
        for point in POINTS:
            with pytest.MonkeyPatch.context() as patch:
                cut_off(patch, point, name)
                async with where() as target:
                    with pytest.raises(CutOffError, match=point):
                        await runner.apply(target, five())
    async with where() as target:
        report = await runner.apply(target, five())
        steps = await runner.survey(target, five())
    assert [entry.name for entry in report.applied] == ["ALL_WRITER"]
    assert made(server) == NAMES
    assert all(step.action is Action.done for step in steps)


@pytest.mark.parametrize("point", POINTS)
async def test_an_alteration_that_is_cut_off_anywhere_is_not_taken_for_done(
    where: Where, server: KsqlServer, point: str
) -> None:
    async with where() as target:
        await runner.apply(target, five())
        changed = five(FIVE.replace("bid > 1 EMIT", "bid > 2 EMIT"))
        with pytest.MonkeyPatch.context() as patch:
            cut_off(patch, point, "BIG")
            with pytest.raises(CutOffError, match=point):
                await runner.apply(target, changed)
        await runner.apply(target, changed)
        steps = await runner.survey(target, changed)
    assert all(step.action is Action.done for step in steps)
    assert [text for text in server.executed() if "OR REPLACE" in text] == [
        "CREATE OR REPLACE STREAM big WITH (KAFKA_TOPIC='big') AS SELECT * FROM ticks_s WHERE bid > 2 EMIT CHANGES;"
    ]


async def test_what_somebody_else_makes_at_the_same_moment_is_not_taken_for_ours(where: Where, server: KsqlServer) -> None:
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


def test_a_query_that_somebody_terminated_is_drift_though_its_stream_is_there(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    query = next(name for name in query_ids(server) if name.startswith("CSAS_BIG"))
    server.ksql(f"TERMINATE {query};")
    status = worker.run("migrate", "status", "--plan", "five.ksql")
    assert status.returncode == 4
    assert f"its query {query} is gone, so it processes nothing: drop BIG" in status.stdout
    server.ksql("DROP STREAM big;")
    assert worker.run("migrate", "apply", "--repair", "--plan", "five.ksql").returncode == 0
    assert worker.run("migrate", "status", "--plan", "five.ksql").returncode == 0


def query_ids(server: KsqlServer) -> list[str]:
    """Of all persistent queries."""
    return [str(query["id"]) for query in server.ksql("SHOW QUERIES;")[0]["queries"]]


def test_a_run_that_is_killed_while_the_server_is_at_work_is_finished_by_the_next(worker: Worker, server: KsqlServer) -> None:
    server.fault("delay", match="CREATE STREAM big", times=2, seconds=1.5)  # the dry run, then the statement
    runs = worker.popen("migrate", "apply", "--plan", "five.ksql")
    until_sync(lambda: any('"ksql":"CREATE STREAM big' in text for text in server.requests()), what="it has been sent")
    os.kill(runs.pid, signal.SIGKILL)
    runs.communicate()
    again = worker.run("migrate", "apply", "--plan", "five.ksql")
    assert again.returncode == 0, again.stderr
    assert made(server) == NAMES


def test_a_run_that_is_frozen_is_finished_by_another_and_does_nothing_when_it_thaws(worker: Worker, server: KsqlServer) -> None:
    server.fault("delay", match='"ksql":"CREATE STREAM big', seconds=1.5)  # the dry run begins with another
    frozen = worker.popen("migrate", "apply", "--plan", "five.ksql")
    until_sync(lambda: any('"ksql":"CREATE STREAM big' in text for text in server.requests()), what="it has been sent")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        other = worker.run("migrate", "apply", "--plan", "five.ksql")
        assert other.returncode == 0, other.stderr
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    said, _ = frozen.communicate(timeout=60)
    assert frozen.returncode == 1, said
    assert "another runner has taken over" in said
    assert made(server) == NAMES
    assert worker.run("migrate", "status", "--plan", "five.ksql").returncode == 0


def test_unlock_stops_a_run_before_its_next_statement(worker: Worker, server: KsqlServer) -> None:
    server.fault("delay", match='"ksql":"CREATE STREAM big', seconds=4.0)
    runs = worker.popen("migrate", "apply", "--plan", "five.ksql")
    until_sync(lambda: any('"ksql":"CREATE STREAM big' in text for text in server.requests()), what="it has been sent")
    unlocked = worker.run("migrate", "unlock", "--json")
    assert (unlocked.returncode, list(json.loads(unlocked.stdout))) == (0, ["unlocked"])
    said, _ = runs.communicate(timeout=60)
    assert (runs.returncode, "another runner has taken over" in said) == (1, True), said
    assert made(server) == NAMES[:3]
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    assert made(server) == NAMES


@pytest.mark.parametrize("kind", ["before", "after", "error", "503", "429"])
async def test_a_connection_that_is_cut_or_a_server_that_is_busy_executes_nothing_twice(
    where: Where, server: KsqlServer, kind: str
) -> None:
    for match in ('"ksql":"CREATE TABLE n_w', '"ksql":"INSERT INTO all_s'):
        server.fault(kind, match=match, times=1)
    async with where() as target:
        report = await runner.apply(target, five())
    assert len(report.applied) == 5
    assert made(server) == NAMES


# ---- side by side


@pytest.mark.parametrize("runners", [2, 10])
def test_runners_at_the_same_time_execute_each_statement_once(worker: Worker, server: KsqlServer, runners: int) -> None:
    started: list[subprocess.Popen[str]] = [worker.popen("migrate", "apply", "--plan", "five.ksql") for _ in range(runners)]
    for one in started:
        text, _ = one.communicate(timeout=120)
        assert one.returncode == 0, text
    assert made(server) == NAMES


async def test_a_writer_is_refused_after_another_one_has_begun(where: Where) -> None:
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


# ---- at a worker's start


def test_a_worker_applies_the_shipped_plan_beside_its_ticks(worker: Worker, server: KsqlServer) -> None:
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
    assert len(server.requests()) == asked + 1  # a start with nothing to do costs one request
    assert len(server.executed()) == count


def test_workers_that_start_at_the_same_time_apply_the_plan_once(worker: Worker, server: KsqlServer) -> None:
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
        assert sorted(made(server)) == sorted(names)
    finally:
        second.end()


def test_a_worker_that_is_killed_half_way_leaves_the_rest_to_the_next(worker: Worker, server: KsqlServer) -> None:
    server.fault("delay", match='"ksql":"CREATE TABLE bar_1m_all', times=1, seconds=1.0)
    second = Worker(worker.bootstrap, worker.directory / "second", **{**worker.settings, "web_port": str(free_port())})
    worker.spawn()
    worker.wait(lambda: any('"ksql":"CREATE TABLE bar_1m_all' in text for text in server.requests()), "it is half way")
    worker.kill()
    try:
        second.start()
        second.wait_log("applied")
        status = json.loads(second.run("migrate", "status", "--json").stdout)["steps"]
        assert sorted(made(server)) == sorted(step["name"] for step in status)
        assert {step["state"] for step in status} == {"done"}
    finally:
        second.end()


def test_with_require_a_server_that_is_still_starting_is_waited_for(worker: Worker, server: KsqlServer) -> None:
    server.fault("503", times=3)
    worker.settings["migrate_on_boot"] = "require"
    worker.start()
    worker.stop()
    assert worker.log().count("503 Service Unavailable; trying again") == 3
    assert worker.run("migrate", "status").returncode == 0


def test_health_says_what_the_server_has_and_which_query_does_not_run(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("migrate", "apply", "--plan", "five.ksql").returncode == 0
    well = worker.run("migrate", "health")
    assert well.returncode == 0, well.stderr
    assert "RUNNING, healthy\n3 streams, 1 tables, 3 queries" in well.stdout
    server.ksql("PAUSE ALL_WRITER;")
    paused = worker.run("migrate", "health", "--json")
    assert paused.returncode == 1
    assert json.loads(paused.stdout)["troubled"] == {"ALL_WRITER": "PAUSED"}


def test_with_require_ticks_wait_for_a_ksqldb_that_is_away_and_without_they_do_not(worker: Worker, server: KsqlServer) -> None:
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


def test_with_off_no_worker_asks_ksqldb_for_anything(worker: Worker, server: KsqlServer) -> None:
    worker.settings["migrate_on_boot"] = "off"
    worker.start()
    worker.stop()
    assert server.requests() == []
