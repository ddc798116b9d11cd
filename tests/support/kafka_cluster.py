"""A cluster of three KRaft nodes from Kafka's jars, each of them broker and controller, and the faults of its nodes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

from tests.support.kafka_node import KafkaServer, new_cluster_id
from tests.support.kafka_requests import PREFERRED, UNCLEAN, ElectRequest, ReassignRequest
from tests.support.ports import free_ports
from tests.support.waiting import until_sync

NODES = 3
GROUP, TRANSACTION = 0, 1  # kinds of coordinators
NOT_NEEDED = 84  # the error code of an election where the leader is the right one
DEADLINE = 60.0  # seconds for a change of the cluster to show
ASK_MS = 5_000
LAG_MS = 3_000  # after which a follower is out of sync; until then the high watermark waits for it
SESSION_MS = 6_000  # after which a dead node is fenced, and others lead; a starved machine needs some time for a heartbeat
JVM = ("-Xms192m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
SETTINGS = {
    "default.replication.factor": str(NODES),
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": str(NODES),
    "transaction.state.log.replication.factor": str(NODES),
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": str(NODES),
    "share.coordinator.state.topic.min.isr": "2",
    "replica.lag.time.max.ms": str(LAG_MS),
    "broker.session.timeout.ms": str(SESSION_MS),
    "num.io.threads": "2",
    "num.network.threads": "2",
}


class Partition(NamedTuple):
    """A partition as the cluster describes it. Without a leader, `leader` is -1."""

    leader: int
    replicas: list[int]
    isr: list[int]

    @property
    def followers(self) -> list[int]:
        """The replicas in sync that do not lead."""
        return [node for node in self.isr if node != self.leader]


class KafkaCluster:
    """Three nodes on free ports of 127.0.0.1, by their ids 1 to 3. `start` to `restart` are of all nodes at once."""

    def __init__(self, directory: Path, *, jvm: tuple[str, ...] = JVM, more: Mapping[str, str] | None = None) -> None:
        """`more`: broker settings that override ours."""
        ports = free_ports(2 * NODES)
        pairs = dict(enumerate(zip(ports[:NODES], ports[NODES:], strict=True), 1))
        voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in pairs.items())
        cluster_id = new_cluster_id()
        self.directory = directory
        self.nodes: dict[int, KafkaServer] = {}
        self._frozen: set[int] = set()
        for number, pair in pairs.items():
            settings = {**SETTINGS, "node.id": str(number), "controller.quorum.voters": voters, **(more or {})}
            place = directory / f"node{number}"
            self.nodes[number] = KafkaServer(place, jvm=jvm, more=settings, ports=pair, cluster_id=cluster_id)
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes.values())

    # ---- all nodes

    def start(self) -> None:
        """Start all nodes that do not run, and wait until every replica is in sync; the first start formats them."""
        down = [node for node in self.nodes.values() if node.pid is None]
        try:
            with ThreadPoolExecutor(NODES) as pool:
                list(pool.map(KafkaServer.spawn, down))  # together: one node alone is no majority of the controllers
                list(pool.map(KafkaServer.wait, down))
            self.wait_in_sync()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Shut all nodes down cleanly."""
        self._each(KafkaServer.stop)

    def kill(self) -> None:
        """Kill all nodes."""
        self._each(KafkaServer.kill)

    def restart(self) -> None:
        """Stop and start all nodes."""
        self.stop()
        self.start()

    def heal(self) -> None:
        """Thaw and start what does not run, and wait until every replica is in sync."""
        for number in list(self._frozen):
            self.thaw(number)
        self.start()

    # ---- one node

    def start_node(self, number: int) -> None:
        """Start a node and wait until it answers; not until its replicas are in sync."""
        self.nodes[number].start()

    def stop_node(self, number: int) -> None:
        """Shut a node down cleanly: its leaders move before."""
        self.nodes[number].stop()

    def kill_node(self, number: int) -> None:
        """Kill a node. Its leaders move once its session has expired, after `SESSION_MS`."""
        self._frozen.discard(number)
        self.nodes[number].kill()

    def restart_node(self, number: int) -> None:
        """Stop a node and start it."""
        self.nodes[number].restart()

    def freeze(self, number: int) -> None:
        """Suspend a node: its connections stay open, and nothing answers."""
        self._signal(number, signal.SIGSTOP)
        self._frozen.add(number)

    def thaw(self, number: int) -> None:
        """Let a frozen node go on."""
        self._signal(number, signal.SIGCONT)
        self._frozen.discard(number)

    # ---- what the cluster says

    def partition(self, topic: str, number: int = 0) -> Partition:
        """Leader, replicas and in-sync replicas of a partition."""
        return self.partitions(topic)[number]

    def partitions(self, topic: str) -> dict[int, Partition]:
        """All partitions of a topic; raises `KeyError` if there is none."""
        return self._topics()[1][topic]

    def coordinator(self, key: str, kind: int = GROUP) -> int:
        """The node that coordinates a group (`GROUP`) or a transactional id (`TRANSACTION`)."""

        def found() -> int | None:
            answer = self._ask(FindCoordinatorRequest(key, kind))
            return None if answer.error_code else int(answer.coordinator_id)  # it is moving

        node = until_sync(found, deadline=DEADLINE, every=0.2, what=f"{key} has a coordinator")
        assert node is not None
        return node

    def wait_in_sync(self, number: int | None = None) -> None:
        """Wait until every replica of every partition is in sync, or every one on this node."""

        def in_sync() -> bool:
            nodes, topics = self._topics()
            parts = [part for topic in topics.values() for part in topic.values()]
            if number is None:
                return len(nodes) == NODES and all(part.leader >= 0 and set(part.isr) == set(part.replicas) for part in parts)
            return number in nodes and all(number in part.isr for part in parts if number in part.replicas)

        until_sync(in_sync, deadline=DEADLINE, every=0.2, what="all replicas are in sync")

    def wait_leader(self, topic: str, number: int, other_than: int) -> int:
        """Wait until another node leads a partition; returns that."""

        def moved() -> int | None:
            leader = self.partition(topic, number).leader
            return leader if leader not in (-1, other_than) else None

        found = until_sync(moved, deadline=DEADLINE, every=0.1, what=f"{topic}[{number}] has another leader")
        assert found is not None
        return found

    # ---- changes

    def reassign(self, replicas: Mapping[str, Mapping[int, Sequence[int]]]) -> None:
        """Move partitions of topics to these nodes, of which the first is to lead; returns when they have moved."""
        answer = self._ask(ReassignRequest(replicas))
        _check(answer.error_code, answer.topics)
        wanted = {(topic, number): list(nodes) for topic, parts in replicas.items() for number, nodes in parts.items()}

        def now() -> Iterator[tuple[Partition, list[int]]]:
            topics = self._topics()[1]
            return ((topics[topic][number], nodes) for (topic, number), nodes in wanted.items())

        def moved() -> bool:
            return all(part.replicas == nodes and set(part.isr) == set(nodes) for part, nodes in now())

        def led() -> bool:
            return all(part.leader == nodes[0] for part, nodes in now())

        until_sync(moved, deadline=DEADLINE, every=0.2, what=f"partitions have moved to {wanted}")
        answer = self._ask(ElectRequest({topic: parts.keys() for topic, parts in replicas.items()}, PREFERRED))
        _check(answer.error_code, answer.topics, but=NOT_NEEDED)
        until_sync(led, deadline=DEADLINE, every=0.2, what=f"the first nodes lead: {wanted}")

    def lead_all(self, leader: int) -> None:
        """Let one node lead every partition: all its other nodes are followers, and it coordinates all groups."""
        topics = self._topics()[1]
        self.reassign(
            {
                topic: {n: [leader, *(node for node in part.replicas if node != leader)] for n, part in parts.items()}
                for topic, parts in topics.items()
                if all(leader in part.replicas for part in parts.values())
            }
        )

    def elect_unclean(self, topic: str, number: int, leader: int) -> None:
        """Let a replica lead that is not in sync, once all that were in sync are gone; waits until it does."""

        def elected() -> bool:
            self._ask(ElectRequest({topic: [number]}, UNCLEAN))  # an error while the node is still fenced
            return self.partition(topic, number).leader == leader

        until_sync(elected, deadline=DEADLINE, every=0.2, what=f"node {leader} leads {topic}[{number}]")

    # ---- inside

    def _each(self, action: Any) -> None:
        for number in list(self._frozen):
            self.thaw(number)
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(action, self.nodes.values()))

    def _signal(self, number: int, sent: signal.Signals) -> None:
        pid = self.nodes[number].pid
        assert pid is not None, f"node {number} does not run"
        os.kill(pid, sent)

    def _topics(self) -> tuple[set[int], dict[str, dict[int, Partition]]]:
        """The ids of the nodes that are not fenced, and all topics."""
        answer = self._ask(MetadataRequest(None, allow_auto_topic_creation=False))
        topics = {
            topic: {number: Partition(leader, replicas, isr) for _, number, leader, replicas, isr, _ in partitions}
            for _, topic, _, partitions in answer.topics
        }
        return {broker[0] for broker in answer.brokers}, topics

    def _ask(self, request: Request[Any]) -> Any:
        """The answer of any node that runs. Each passes on to the controller what only that can do."""

        def answer() -> Any:
            for number, node in self.nodes.items():
                if node.pid is not None and number not in self._frozen:
                    try:
                        return asyncio.run(_ask(node.port, request))
                    except (KafkaError, OSError):  # it is starting, or ends
                        continue
            return None

        return until_sync(answer, deadline=DEADLINE, every=0.2, what=f"a node answers {type(request).__name__}")


async def _ask(port: int, request: Request[Any]) -> Any:
    connection = await create_conn("127.0.0.1", port, request_timeout_ms=ASK_MS)
    try:
        return await connection.send(request)
    finally:
        closing = connection.close()
        if closing is not None:
            await closing


def _check(error: int, topics: Iterable[Any], *, but: int = 0) -> None:
    results = [result for _, partitions, _ in topics for result in partitions]
    wrong = [f"{number}: {for_code(code).__name__} {text or ''}" for number, code, text, _ in results if code not in (0, but)]
    assert error in (0, but), f"the controller refused: {for_code(error).__name__}"
    assert not wrong, f"the controller refused partitions: {wrong}"
