"""The faults of a cluster's nodes: a leader killed, a follower frozen, a rolling restart."""

from __future__ import annotations

import random
import time

from tests.chaos.kinds import Kind
from tests.support.kafka_cluster import SESSION_MS, KafkaCluster


class ClusterFaults:
    """Injects faults into the nodes of a cluster. A fault begins when all replicas are in sync, so no tick can be lost."""

    def __init__(self, cluster: KafkaCluster, topic: str, choices: random.Random) -> None:
        """`topic`: the input."""
        self._cluster, self._topic, self._random = cluster, topic, choices

    def inject(self, kind: Kind) -> str:
        """Inject one; returns a description. All nodes run again then, but may not be in sync."""
        return {Kind.leader: self._kill_leader, Kind.follower: self._freeze_follower, Kind.roll: self._roll}[kind]()

    def prepare(self) -> None:
        """Wait until the cluster has recovered from the last fault."""
        self._cluster.wait_in_sync()

    def _partition(self) -> int:
        return self._random.choice(sorted(self._cluster.partitions(self._topic)))

    def _kill_leader(self) -> str:
        number = self._partition()
        node = self._cluster.partition(self._topic, number).leader
        self._cluster.kill_node(node)
        down = self._random.choice((0.0, self._random.uniform(0, 2 * SESSION_MS / 1_000)))
        time.sleep(down)
        self._cluster.start_node(node)
        return f"node {node}, which led partition {number}, down for {down:.1f} s and its start"

    def _freeze_follower(self) -> str:
        number = self._partition()
        node = self._random.choice(self._cluster.partition(self._topic, number).followers)
        seconds = self._random.uniform(1, 2 * SESSION_MS / 1_000)
        self._cluster.freeze(node)
        try:
            time.sleep(seconds)
        finally:
            self._cluster.thaw(node)
        return f"node {node}, which followed in partition {number}, for {seconds:.1f} s"

    def _roll(self) -> str:
        began = time.monotonic()
        for node in self._cluster.nodes:
            self._cluster.restart_node(node)
            self._cluster.wait_in_sync()
        return f"all nodes, in {time.monotonic() - began:.1f} s"
