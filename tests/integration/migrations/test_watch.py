"""What a worker sees of the queries that migrations created: their states, errors and lag, and ksqlDB's processing log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from socket import socket

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.cluster import Cluster
from app.kafka.topics import TopicSpec, ensure_one
from app.ksqldb import watch
from app.ksqldb.watched import Watched
from app.web.migration_metrics import watch_metrics
from migrations.plan.entry import Entry
from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.run import history, runner, settle, swap
from migrations.run.adopt import adopt
from migrations.run.rollback import retire
from migrations.run.target import Target
from tests.integration.migrations.plans import FIVE, Where, five, query_ids
from tests.support.ksqldb import KsqlServer
from tests.support.waiting import until
from tests.support.worker import Worker


async def looked(target: Target) -> Watched:
    """What one look at the server finds. All was applied in one millisecond: the order of the history counts."""
    found = Watched()
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    known = await history.read(target.cluster, target.topic, "an-app")
    entries: list[Entry] = [msgspec.structs.replace(entry, applied_at=1) for entry in known.values()]
    await watch.look(target.client, target.cluster, found, entries)
    return found


async def test_queries_of_the_history_are_seen_with_their_states_errors_and_lag(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, five())
        found = {query.writes: query for query in (await looked(target)).queries}
        assert sorted(found) == ["ALL_S", "BIG", "N_W"]
        assert {(query.state, query.errors, query.lag, query.stopped) for query in found.values()} <= {
            ("RUNNING", 0, 0, False),
            ("RUNNING", 0, None, False),
        }
        big = found["BIG"].id
        server.set_state(errors={big: ["a record cannot be read", "another"]})
        server.ksql("PAUSE ALL_WRITER;")
        server.ksql("CREATE STREAM by_hand AS SELECT * FROM ticks_s EMIT CHANGES;")
        server.hide(next(name for name in query_ids(server) if name.startswith("CTAS_N_W")))
        now = {query.writes: (query.state, query.errors, query.stopped) for query in (await looked(target)).queries}
        assert now == {"ALL_S": ("PAUSED", 0, True), "BIG": ("RUNNING", 2, False), "N_W": ("GONE", 0, True)}


async def test_a_query_that_a_plan_has_ended_is_not_missed(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "INSERT INTO all_s WITH (QUERY_ID='MORE') SELECT * FROM big EMIT CHANGES;\n"
    text = f"{FIVE}{more}TERMINATE more;\nTERMINATE all_writer;\nDROP STREAM big;"
    source = KsqlText(text, "five", "five", destructive=True)
    async with where() as target:
        await runner.apply(target, build_plan("five", [source], {}, {}), limit=runner.Limit(destructive=True))
        assert [(query.writes, query.state) for query in (await looked(target)).queries] == [("N_W", "RUNNING")]
        source = KsqlText(f"{text}{FIVE.splitlines()[6]}{more}", "five", "five", destructive=True)  # these two once more
        with monkeypatch.context() as no_wait:
            no_wait.setattr(settle, "POLL_SECONDS", None)  # nothing is missing that could come back
            await runner.apply(target, build_plan("five", [source], {}, {}))
        assert sorted(query.writes for query in (await looked(target)).queries) == ["ALL_S", "BIG", "N_W"]


async def test_a_query_that_runs_is_seen_though_a_drop_of_its_name_was_recorded_later(where: Where) -> None:
    def plan(name_of_drop: str) -> Plan:
        texts = {"five": FIVE, name_of_drop: "DROP STREAM big;", "again": FIVE.splitlines()[6]}
        return build_plan("five", [KsqlText(text, name, name, destructive=True) for name, text in texts.items()], {}, {})

    async with where() as target:
        await runner.apply(target, plan("gone"), limit=runner.Limit(destructive=True))
        assert [one.taken.id for one in await adopt(target, plan("renamed"))] == ["renamed/DROP_BIG"]
        assert sorted(query.writes for query in (await looked(target)).queries) == ["ALL_S", "BIG", "N_W"]


async def test_a_query_that_was_started_again_after_its_drop_is_missed(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        source = KsqlText(f"{FIVE}TERMINATE all_writer;", "five", "five", destructive=True)
        await runner.apply(target, build_plan("five", [source], {}, {}), limit=runner.Limit(destructive=True))
        assert sorted(query.writes for query in (await looked(target)).queries) == ["BIG", "N_W"]
        await runner.apply(target, five(), repair=True)  # the plan no longer ends it
        assert sorted(query.writes for query in (await looked(target)).queries) == ["ALL_S", "BIG", "N_W"]
        server.hide("ALL_WRITER")
        assert {query.writes: query.state for query in (await looked(target)).queries}["ALL_S"] == "GONE"


async def test_what_only_has_the_name_of_what_a_plan_has_ended_is_still_seen(where: Where) -> None:
    """A type, a stream and a query may share a name."""
    stream = "CREATE STREAM all_writer (x INT) WITH (KAFKA_TOPIC='aw', PARTITIONS=1, VALUE_FORMAT='JSON');"
    text = f"{FIVE}CREATE TYPE big AS STRUCT<x INT>;\nDROP TYPE big;\n{stream}\nDROP STREAM all_writer;"
    async with where() as target:
        source = KsqlText(text, "five", "five", destructive=True)
        await runner.apply(target, build_plan("five", [source], {}, {}), limit=runner.Limit(destructive=True))
        assert sorted(query.writes for query in (await looked(target)).queries) == ["ALL_S", "BIG", "N_W"]


async def test_a_query_that_was_started_anew_by_a_replacement_is_not_missed(
    where: Where, server: KsqlServer, fast_polling: None
) -> None:
    big = "CREATE OR REPLACE STREAM big WITH (KAFKA_TOPIC='big') AS SELECT {} FROM ticks_s WHERE bid > 2 EMIT CHANGES;"

    def plan_of(*more: str) -> Plan:
        texts = [KsqlText(text, str(number), str(number)) for number, text in enumerate([FIVE, *more])]
        return build_plan("five", texts, {}, {})

    plan = plan_of(big.format("*"))
    async with where() as target:
        await runner.apply(target, plan_of())
        await runner.apply(target, plan)
        server.ksql("DROP STREAM big;")
        await runner.apply(target, plan, repair=True)
        assert {(query.writes, query.stopped) for query in (await looked(target)).queries} == {
            *(("ALL_S", False), ("BIG", False), ("N_W", False))
        }
        changed = plan_of(big.format("broker, symbol, bid"))
        await swap.force_new_name(target, changed)
        assert [query.writes for query in (await looked(target)).queries if query.stopped] == []
        await retire(target, changed, readers_moved=True)
        seen = (await looked(target)).queries
    assert {(query.writes, query.stopped) for query in seen} == {("ALL_S", False), ("BIG_V2", False), ("N_W", False)}


async def test_topics_are_seen_with_their_rate_the_lag_of_their_readers_and_their_size(
    where: Where, server: KsqlServer
) -> None:
    moments = iter((100.0, 110.0, 120.0))

    def clock() -> float:
        return next(moments)

    async with where() as target:
        name = f"{target.topic}-ticks"
        text = FIVE.replace("KAFKA_TOPIC='ticks'", f"KAFKA_TOPIC='{name}'")
        await ensure_one(target.cluster, TopicSpec(name, 2, {"cleanup.policy": "compact"}, "ticks"), 1)
        await runner.apply(target, five(text))
        entries = list((await history.read(target.cluster, target.topic, "an-app")).values())
        found = Watched()
        await watch.look(target.client, target.cluster, found, entries, clock)
        ticks = {source.name: source for source in found.sources}["TICKS_S"]
        assert (ticks.topic, ticks.rate, ticks.size) == (name, None, 0)
        async with AIOKafkaProducer(**target.cluster.client) as producer:
            for number in range(40):
                await producer.send_and_wait(name, b"x" * 100, partition=number % 2)
        await watch.look(target.client, target.cluster, found, entries, clock)
        ticks = {source.name: source for source in found.sources}["TICKS_S"]
        assert (ticks.rate, ticks.size is not None and ticks.size > 40 * 100) == (4.0, True)
        await watch.look(target.client, target.cluster, found, entries, clock)
    sources = {source.name: source for source in found.sources}
    assert sorted(sources) == ["ALL_S", "BIG", "N_W", "TICKS_S"]
    assert sources["TICKS_S"].rate == 0.0
    assert (sources["ALL_S"].rate, sources["ALL_S"].size) == (None, None)  # the stand-in makes no topics
    metrics = {metric.name: metric for metric in watch_metrics(found, lambda name: name)}
    assert [one.labels["name"] for one in metrics["ksqldb_source_bytes"].samples] == ["TICKS_S"]
    server.committed(now=True)
    async with where() as target:
        assert {source.lag for source in (await looked(target)).sources if source.name == "TICKS_S"} == {0}


async def test_ksqldb_is_seen_while_the_broker_cannot_tell_about_topics(
    where: Where, server: KsqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with where() as target:
        topic = f"{target.topic}-ticks"
        await ensure_one(target.cluster, TopicSpec(topic, 2, {}, "ticks"), 1)
        server.topic(topic, 2)
        await runner.apply(target, five(FIVE.replace("KAFKA_TOPIC='ticks'", f"KAFKA_TOPIC='{topic}'")))
        entries = list((await history.read(target.cluster, target.topic, "an-app")).values())
        with socket() as closed:
            closed.bind(("127.0.0.1", 0))  # nothing listens there
            away = Cluster(f"127.0.0.1:{closed.getsockname()[1]}")
            found = Watched(log_records=3)
            for _ in range(2):
                await watch.look(target.client, away, found, entries)
        assert (found.up, found.error, found.log_records, "127.0.0.1" in found.topics_error) == (True, "", 3, True)
        assert {(query.writes, query.state) for query in found.queries} == {(one, "RUNNING") for one in ("ALL_S", "BIG", "N_W")}
        assert {(source.name, source.rate, source.size) for source in found.sources} == {
            (name, None, None) for name in ("ALL_S", "BIG", "N_W", "TICKS_S")
        }
        assert [one.getMessage() for one in caplog.records if one.name == watch.log.name] == [
            f"topics of ksqlDB: {found.topics_error}"
        ]
        await watch.look(target.client, target.cluster, found, entries)
    sizes = {source.name: source.size for source in found.sources}
    assert (found.topics_error, found.log_records, sizes["TICKS_S"]) == ("", 0, 0)


def complete_log(target: Target) -> Callable[[], Awaitable[Watched | None]]:
    """A look that had the time to read all of the newest entries: on a busy machine the first ones do not."""

    async def seen() -> Watched | None:
        found = await looked(target)
        return found if len(found.log_newest) == watch.NEWEST else None

    return seen


async def test_the_newest_entries_of_the_processing_log_are_shown(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        topic = f"{target.topic}-log"
        await ensure_one(target.cluster, TopicSpec(topic, 2, {}, "a log"), 1)
        async with AIOKafkaProducer(**target.cluster.client) as producer:
            for number in range(8):
                message = {"type": 0, "deserializationError": {"errorMessage": f"bad {number}"}, "productionError": None}
                entry = {"level": "ERROR", "logger": "processing.CTAS_X", "time": number, "message": message}
                await producer.send_and_wait(
                    topic, json.dumps(entry).encode(), partition=number % 2, timestamp_ms=1_000 + number
                )
            await producer.send_and_wait(topic, b"no JSON", partition=0, timestamp_ms=2_000)
        server.topic(topic, 2)
        server.ksql(f"CREATE STREAM KSQL_PROCESSING_LOG (logger STRING) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');")

        found: Watched | None = await until(complete_log(target), what="the newest entries of the processing log")
    assert found is not None
    assert found.log_records == 9
    bad = [f'processing.CTAS_X: {{"deserializationError":{{"errorMessage":"bad {number}"}}}}' for number in (7, 6, 5, 4)]
    assert found.log_newest == ["no JSON", *bad]


def test_a_worker_counts_what_the_history_has_under_both_names(worker: Worker, server: KsqlServer) -> None:
    (worker.directory / "p.ksql").write_text("CREATE TYPE point AS STRUCT<x INT>;")
    assert worker.run("migrate", "deploy", "--plan", "p.ksql").returncode == 0
    worker.start()
    worker.wait_log("migrations: 6 applied")

    for name in ("migrations_applied", "applied_migrations"):
        worker.wait(lambda name=name: f"barwheel_{name}_total 7.0" in worker.text("/metrics"), name)  # type: ignore[misc]
    text = worker.text("/metrics")
    for name in ("migrations_skipped", "skipped_migrations", "migrations_failures", "failed_migrations"):
        assert f"barwheel_{name}_total 0.0" in text
    found = json.loads(worker.text("/api/v1/migrations"))
    assert {row["hash"] == row["applied_hash"] and row["hash"].startswith("v1:sha256:") for row in found["steps"][:6]} == {True}
    empty = {"queries": [], "sources": [], "processing_log_records": 0, "processing_log": []}
    assert found["ksqldb"] == {"up": None, "error": None, **empty}
    for words in (("plan", "validate"), ("plan", "print"), ("validate",)):
        assert worker.run("migrate", *words, "--plan", "p.ksql").returncode == 0
