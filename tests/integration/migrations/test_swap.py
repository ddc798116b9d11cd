"""Swaps: what cannot be altered is built under a new name, compared, swapped, rolled back and retired."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.cluster import Cluster
from app.kafka.topics import TopicSpec, ensure_one
from migrations.errors import RefusedError
from migrations.plan.compare import Action
from migrations.plan.model import KsqlText, build_plan
from migrations.run import history, runner, swap
from migrations.run.rollback import retire, roll_back
from tests.integration.migrations.plans import (
    CHANGED,
    FIVE,
    NAMES,
    POINTS,
    SWAP,
    InterruptedRunError,
    Where,
    created,
    five,
    interrupt,
    interrupt_swap,
    query_ids,
    requests_since,
)
from tests.support.ksqldb import KsqlServer
from tests.support.waiting import until
from tests.support.worker import Worker


def test_a_changed_windowed_aggregation_is_built_under_a_new_name_swapped_and_retired(
    worker: Worker, server: KsqlServer
) -> None:
    """Its readers are rebuilt, the INSERT into the table that others read is replaced, and the plan keeps its names."""
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
    shown = worker.run("migrate", "--force-new-name", *given)
    assert (shown.returncode, len(server.executed())) == (3, before), shown.stderr
    assert "N_W would be replaced by N_W_V2\nN_RAW would be replaced by N_RAW_V2\nSERVED_WRITER would" in shown.stdout
    swapped = worker.run("migrate", "apply", "--force-new-name", *given)
    assert swapped.returncode == 0, swapped.stderr
    for output in (shown.stdout, swapped.stdout):
        assert "who asks N_W by pull queries must ask N_W_V2 instead: N_W stays until `retire`" in output
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
    unseen = worker.run("migrate", "retire", *given)
    assert unseen.returncode == 4
    assert "N_W answers pull queries, and the server does not tell whose: see to it that all ask N_W_V2" in unseen.stderr
    server.ksql("CREATE STREAM theirs AS SELECT * FROM n_raw EMIT CHANGES;")
    (theirs,) = [name for name in query_ids(server) if "THEIRS" in name]
    read = worker.run("migrate", "retire", "--readers-moved", *given)
    assert (read.returncode, f"query {theirs} still reads from N_RAW: let it read from N_RAW_V2" in read.stderr) == (4, True)
    server.ksql("DROP STREAM theirs;")
    retired = worker.run("migrate", "retire", "--readers-moved", *given)
    assert retired.returncode == 0, retired.stderr
    assert retired.stdout.splitlines() == ["TERMINATE SERVED_WRITER;", "DROP STREAM `N_RAW`;", "DROP TABLE `N_W`;"]
    assert worker.run("migrate", "status", *given).returncode == 0


async def test_a_new_half_is_not_swapped_in_before_its_queries_have_read_all_input(
    where: Where, server: KsqlServer, pocket: str, fast_polling: None
) -> None:
    """A new query has committed no offsets, so the server reports no lag although nothing was read."""
    topic = f"{uuid4().hex[:8]}-ticks"
    plan, changed = (text.replace("KAFKA_TOPIC='ticks'", f"KAFKA_TOPIC='{topic}'") for text in (FIVE, CHANGED))
    await ensure_one(Cluster(pocket), TopicSpec(topic, 1, {}, "ticks"), 1)
    async with AIOKafkaProducer(bootstrap_servers=pocket) as producer:
        await producer.send_and_wait(topic, b"{}")
    async with where() as target:
        await runner.apply(target, five(plan))
        server.committed(now=False)
        running = asyncio.create_task(swap.force_new_name(target, five(changed)))
        await until(lambda: requests_since(server, "CREATE TABLE N_W_V2") > 5, what="it polls the lag")
        assert not running.done()
        assert (await history.read(target.cluster, target.topic, "an-app"))["five/N_W"].name == "N_W"
        server.committed(now=True)
        await running
        assert (await history.read(target.cluster, target.topic, "an-app"))["five/N_W"].name == "N_W_V2"


def test_a_change_that_the_server_cannot_alter_is_swapped(worker: Worker, server: KsqlServer) -> None:
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
    assert created(server) == [*NAMES, "LAST", "LAST_V2"]
    assert worker.run("migrate", "apply", *given).returncode == 0  # BIG is altered
    assert created(server) == [*NAMES, "LAST", "LAST_V2", "BIG"]


async def test_a_new_half_is_not_built_on_a_topic_with_records_of_an_earlier_one(
    where: Where, server: KsqlServer, pocket: str, fast_polling: None
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
    assert created(server) == NAMES


def test_a_swap_is_rolled_back_and_a_second_one_takes_the_next_names(worker: Worker, server: KsqlServer) -> None:
    given = ("--plan", "plan.ksql")
    plan = worker.directory / "plan.ksql"
    nothing = worker.run("migrate", "rollback", "--plan", "five.ksql")
    assert (nothing.returncode, "nothing was swapped" in nothing.stderr) == (4, True), nothing.stderr
    plan.write_text(SWAP.replace("9 SECONDS", "5 SECONDS"))
    assert worker.run("migrate", "apply", *given).returncode == 0
    plan.write_text(SWAP)
    assert worker.run("migrate", "apply", "--force-new-name", *given).returncode == 0
    health = worker.run("migrate", "health")
    assert (health.returncode, "paused by a swap: N_WRITER;" in health.stdout) == (0, True), health.stdout
    back = worker.run("migrate", "rollback", *given)
    assert (back.returncode, back.stdout) == (0, "RESUME N_WRITER;\nPAUSE N_WRITER_V2;\n"), back.stderr
    status = worker.run("migrate", "status", "--json", *given)
    assert status.returncode == 4  # the plan still has the new text
    why = {step["name"]: step["why"] for step in json.loads(status.stdout)["steps"]}
    assert why["N_W_V2"] == "rolled back: N_W is in its place again; `migrate retire` drops it"
    again = worker.run("migrate", "apply", "--force-new-name", *given)
    assert again.returncode == 0, again.stderr
    sent = " ".join(server.executed()[-4:])
    assert [
        name for name in ("CREATE TABLE N_W_V3", "STREAM N_RAW_V3", "'N_WRITER_V3'", "PAUSE N_WRITER;") if name not in sent
    ] == []
    why = {step["name"]: step["why"] for step in json.loads(worker.run("migrate", "status", "--json", *given).stdout)["steps"]}
    assert why["N_W"].startswith("swapped for N_W_V3, which readers must ask instead")
    back = worker.run("migrate", "rollback", *given)
    assert back.stdout == "RESUME N_WRITER;\nPAUSE N_WRITER_V3;\n"
    plan.write_text(SWAP.replace("9 SECONDS", "5 SECONDS"))
    assert worker.run("migrate", "status", *given).returncode == 0
    retired = worker.run("migrate", "retire", "--readers-moved", *given)
    assert retired.stdout.splitlines() == [
        *("TERMINATE N_WRITER_V3;", "TERMINATE N_WRITER_V2;"),
        *("DROP STREAM `N_RAW_V3`;", "DROP TABLE `N_W_V3`;", "DROP STREAM `N_RAW_V2`;", "DROP TABLE `N_W_V2`;"),
    ]
    assert worker.run("migrate", "status", *given).returncode == 0
    health = worker.run("migrate", "health", "--json")
    assert json.loads(health.stdout)["troubled"] == {}


@pytest.mark.parametrize("statement", ["N_W_V2", "N_RAW_V2", "N_WRITER_V2"])
async def test_a_swap_that_is_interrupted_anywhere_is_finished_by_the_same_command(
    where: Where, server: KsqlServer, statement: str, fast_polling: None
) -> None:
    async with where() as target:
        await runner.apply(target, five(SWAP.replace("9 SECONDS", "5 SECONDS")))
        before = len(server.executed())
        for point in POINTS:
            with pytest.MonkeyPatch.context() as patch:
                interrupt(patch, point, statement)
                with pytest.raises(InterruptedRunError, match=point):
                    await swap.force_new_name(target, five(SWAP))
        for step in ("PAUSE", "the history"):
            with pytest.MonkeyPatch.context() as patch:
                interrupt_swap(patch, step)
                with pytest.raises(InterruptedRunError, match=step):
                    await swap.force_new_name(target, five(SWAP))
        why = {step.name: step.why for step in await runner.survey(target, five(SWAP))}
        assert why["N_W_V2"].startswith("built by a swap that was interrupted: `apply --force-new-name` finishes it")
        await swap.force_new_name(target, five(SWAP))
        made = [text.split("(")[0].split(" WITH")[0].strip() for text in server.executed()[before:]]
        assert [text for text in made if text != "PAUSE N_WRITER;"] == [
            "CREATE TABLE N_W_V2",
            "CREATE STREAM N_RAW_V2",
            "INSERT INTO counts",
        ]
        assert all(step.action in (Action.done, Action.left) for step in await runner.survey(target, five(SWAP)))


async def test_an_interrupted_swap_is_not_finished_with_another_text(
    where: Where, server: KsqlServer, fast_polling: None
) -> None:
    async with where() as target:
        await runner.apply(target, five())
        with pytest.MonkeyPatch.context() as patch:
            interrupt_swap(patch, "the history")
            with pytest.raises(InterruptedRunError, match="the history"):
                await swap.force_new_name(target, five(CHANGED))
        other = CHANGED.replace("9 SECONDS", "8 SECONDS")
        with pytest.raises(RefusedError, match="N_W_V2 is left of an interrupted swap and differs from the plan"):
            await swap.force_new_name(target, five(other))
        server.ksql("DROP TABLE n_w_v2;")
        await swap.force_new_name(target, five(other))
    assert "8 SECONDS" in server.executed()[-1]


def test_retire_without_a_swap_does_nothing(worker: Worker) -> None:
    ended = worker.run("migrate", "retire")
    assert (ended.returncode, ended.stdout) == (0, "nothing has been replaced\n"), ended.stderr


async def test_what_a_plan_ends_and_makes_again_after_a_swap_has_the_name_that_readers_know(
    where: Where, server: KsqlServer, fast_polling: None
) -> None:
    ends = "TERMINATE n_writer;\nDROP STREAM n_raw;\nDROP TABLE n_w;\n"
    again = f"{SWAP}{ends}CREATE TABLE n_w WITH (KAFKA_TOPIC='n_w', KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS\n"
    again += "SELECT broker, symbol, COUNT(*) AS n FROM ticks_s GROUP BY broker, symbol EMIT CHANGES;"
    made_again = build_plan("five", [KsqlText(again, "five", "five", destructive=True)], {}, dict(five().properties))
    async with where() as target:
        await runner.apply(target, five(SWAP.replace("9 SECONDS", "5 SECONDS")))
        await swap.force_new_name(target, five(SWAP))
        before = len(server.executed())
        await runner.apply(target, made_again, limit=runner.Limit(destructive=True))
        sent = [" ".join(text.split()).partition(" WITH")[0] for text in server.executed()[before:]]
        assert sent == ["TERMINATE N_WRITER_V2;", "DROP STREAM N_RAW_V2;", "DROP TABLE N_W_V2;", "CREATE TABLE N_W_V2"]
        assert "KAFKA_TOPIC='n_w_v2'" in server.executed()[-1]
        steps = await runner.survey(target, made_again)
        assert {step.action for step in steps} == {Action.done, Action.left}
        ended = [step.id for step in steps if step.why.startswith("dropped since")]
        assert ended == ["five/N_W", "five/N_RAW", "five/N_WRITER"]
        with pytest.raises(
            RefusedError, match=r"five/\w+ has ended N_W\w*_V2 since: N_W\w* cannot be put back; `retire` drops it"
        ):
            await roll_back(target, made_again)
        assert "N_WRITER" in query_ids(server)  # the half that the swap put aside, until `retire`
        await retire(target, made_again, readers_moved=True)
        assert "N_WRITER" not in query_ids(server)
        steps = await runner.survey(target, made_again)
        assert {step.action for step in steps} == {Action.done}
