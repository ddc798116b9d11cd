"""On a cluster of three nodes under load: whatever befalls the nodes, every bar is there once and right."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tables.state import POSITION_KEY, decode_position
from tests.conftest import skip_without_kafka
from tests.integration.conftest import NewWorker
from tests.integration.live_market import LiveMarket
from tests.support.kafka import cluster_required, cluster_unavailable, own_cluster
from tests.support.kafka_cluster import TRANSACTION, KafkaCluster
from tests.support.ticks import Tick, heartbeat, produce, read
from tests.support.waiting import until_sync
from tests.support.worker import Worker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
T0 = 1_399_248_000_000
MINUTE = 60_000
STATE_ERROR = 4
# Records can lie behind a high watermark that stands still until a node's session has expired and another one leads:
# the timer must stay behind that.
MARGIN = "12s"
HUNG_SECONDS = 150.0  # requests to a node that hangs end after 40 s, and one may follow another
QUICK = {
    "window_size": "1s",
    "grace": "500ms",
    "wheel_tick": "100ms",
    "idle_margin": MARGIN,
    "checkpoint_interval": "500ms",
    "session_timeout": "6s",
}


long_form = pytest.mark.skipif(
    os.environ.get("BARWHEEL_CLUSTER") != "all", reason="takes minutes: set BARWHEEL_CLUSTER=all for the long form"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A running cluster that all tests of this file share."""
    skip_without_kafka(cluster_unavailable(), required=cluster_required())
    with own_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def broker(cluster: KafkaCluster) -> str:
    """The addresses of its nodes, for workers."""
    return cluster.bootstrap


@pytest.fixture(autouse=True)
def whole(cluster: KafkaCluster) -> None:
    """All nodes run, and all replicas are in sync, when a test begins."""
    cluster.heal()


def goes_on(worker: Worker) -> None:
    """Wait until it has read newer ticks of every partition, and its bars are published."""
    partitions = int(worker.settings["topic_partitions"])
    worker.wait(lambda: len(_offsets(worker)) == partitions, "it says how far it has read")
    before = _offsets(worker)
    bars = len(read(worker.bootstrap, worker.finals_topic))
    worker.wait(
        lambda: len(now := _offsets(worker)) == len(before) and all(now[n] > offset for n, offset in before.items()),
        "it has read more of every partition",
        deadline=HUNG_SECONDS,
    )
    read(worker.bootstrap, worker.finals_topic, bars + 2 * len(before))


def _offsets(worker: Worker) -> dict[str, int]:
    found = worker.get("/api/v1/accounting")
    return {} if found is None else {number: part["next_offset"] for number, part in found["partitions"].items()}


def input_on(cluster: KafkaCluster, topic: str, replicas: dict[int, list[int]], **configs: str) -> None:
    """Create an input topic on these nodes."""

    async def create() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await client.start()
        try:
            named = {"message.timestamp.type": "LogAppendTime"} | {k.replace("_", "."): v for k, v in configs.items()}
            answer = await client.create_topics([NewTopic(topic, -1, -1, replica_assignments=replicas, topic_configs=named)])
            assert [error[1] for error in answer.topic_errors] == [0]
        finally:
            await client.close()

    asyncio.run(create())
    cluster.wait_in_sync()


def test_every_topic_of_a_worker_has_the_clusters_number_of_replicas(cluster: KafkaCluster, new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", **QUICK).start()
    worker.stop()
    names = (worker.ticks_topic, worker.finals_topic, worker.changelog_topic, worker.late_topic, worker.rejected_topic)
    assert [sorted(cluster.partition(name).replicas) for name in names] == [[1, 2, 3]] * 5


def test_the_leader_of_an_input_partition_is_killed(cluster: KafkaCluster, new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", **QUICK).start()
    market = LiveMarket(worker)
    with market:
        goes_on(worker)
        leader = cluster.partition(worker.ticks_topic).leader
        cluster.kill_node(leader)
        cluster.wait_leader(worker.ticks_topic, 0, other_than=leader)
        goes_on(worker)
        cluster.start_node(leader)
        cluster.wait_in_sync()
        goes_on(worker)
    market.finish()


@long_form
def test_a_follower_stands_still_and_the_high_watermark_with_it(cluster: KafkaCluster, new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", **QUICK).start()
    leader, follower = 1, 2
    market = LiveMarket(worker, acks=1)
    with market:
        goes_on(worker)
        cluster.lead_all(leader)  # else the frozen node would lead something, too
        goes_on(worker)  # its clients have learned where the coordinators are now
        cluster.freeze(follower)
        until_sync(
            lambda: all(follower not in part.isr for part in cluster.partitions(worker.ticks_topic).values()),
            what="the frozen node is out of sync",
        )
        goes_on(worker)
        cluster.thaw(follower)
        cluster.wait_in_sync()
        goes_on(worker)
    market.finish()
    assert read(worker.bootstrap, worker.late_topic) == []  # nothing closed before what waited behind the high watermark


@long_form
def test_the_coordinators_of_the_group_and_of_a_transaction_are_killed(cluster: KafkaCluster, new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", delivery="transactional", **QUICK).start()
    app_id = worker.settings["app_id"]
    market = LiveMarket(worker)
    with market:
        goes_on(worker)
        for key, kind in ((app_id, 0), (f"{app_id}-{worker.ticks_topic}-0", TRANSACTION)):
            node = cluster.coordinator(key, kind)
            cluster.kill_node(node)
            goes_on(worker)
            cluster.start_node(node)
            cluster.wait_in_sync()
        goes_on(worker)
    market.finish()


def test_all_nodes_are_restarted_one_after_another(cluster: KafkaCluster, new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", **QUICK).start()
    market = LiveMarket(worker)
    with market:
        goes_on(worker)
        for node in cluster.nodes:
            cluster.restart_node(node)
            cluster.wait_in_sync()
        goes_on(worker)
    market.finish()


def test_partitions_move_to_other_nodes(cluster: KafkaCluster, new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", **QUICK)
    input_on(cluster, worker.ticks_topic, {0: [1, 2], 1: [2, 3]})
    worker.start()
    market = LiveMarket(worker)
    with market:
        goes_on(worker)
        cluster.reassign({worker.ticks_topic: {0: [3, 2], 1: [1, 3]}})
        goes_on(worker)
        cluster.reassign(
            {
                worker.ticks_topic: {0: [1, 2], 1: [2, 1]},
                worker.finals_topic: {0: [2, 3], 1: [3, 1]},
                worker.changelog_topic: {0: [3, 1], 1: [1, 2]},
            }
        )
        goes_on(worker)
    market.finish()


def minute(number: int) -> list[Tick]:
    """Ten ticks of one minute."""
    return [Tick(T0 + number * MINUTE + second * 1_000, f"1.{number}{second}") for second in range(10)]


def wait_stored(worker: Worker, offset: int) -> None:
    """Wait until its last position record says that it has read up to here."""

    def stored() -> bool:
        records = read(worker.bootstrap, worker.changelog_topic)
        return [decode_position(r.value).next_offset for r in records if r.key == POSITION_KEY and r.value][-1:] == [offset]

    worker.wait(stored, f"its position is {offset}")


@long_form
def test_an_unclean_election_that_loses_ticks_stops_a_worker_or_is_counted(
    cluster: KafkaCluster, new_worker: NewWorker, tmp_path: Path
) -> None:
    stops = new_worker(topic_partitions="1", checkpoint_interval="300ms")
    counts = stops.beside(tmp_path / "counts", on_gap="continue")
    topic, leader, behind = stops.ticks_topic, 1, 2
    input_on(cluster, topic, {0: [leader, behind]}, min_insync_replicas="1")
    try:
        stops.start()
        counts.start()
        produce(cluster.bootstrap, topic, minute(0))  # acknowledged by both
        cluster.lead_all(leader)  # else what the frozen node leads would hold up the workers
        cluster.freeze(behind)
        until_sync(lambda: cluster.partition(topic).isr == [leader], what="the frozen node is out of sync")
        produce(cluster.nodes[leader].bootstrap, topic, minute(1))
        wait_stored(stops, 20)
        wait_stored(counts, 20)
        cluster.kill_node(leader)
        cluster.thaw(behind)
        cluster.elect_unclean(topic, 0, behind)

        assert stops.process is not None
        assert stops.process.wait(60) == STATE_ERROR
        said = stops.log().splitlines()[-1]
        assert f"{topic}[0] ends at offset 10" in said
        assert "its log was truncated, by an unclean leader election" in said
        assert "Traceback" not in stops.log()
        stops.process = None

        counts.wait(lambda: counts.total().get("lost") == 10, "it has counted what is gone")
        produce(cluster.nodes[behind].bootstrap, topic, [*minute(2), heartbeat(T0 + 3 * MINUTE + 5_000)])
        finals = read(cluster.nodes[behind].bootstrap, counts.finals_topic, 3)
        assert [(seen.bar.bucket_start - T0, seen.bar.ticks) for seen in finals] == [(n * MINUTE, 10) for n in range(3)]
        counts.stop()
    finally:
        counts.end()
