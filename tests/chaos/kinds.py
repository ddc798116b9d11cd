"""The kinds of faults, and a fault that was injected."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

Ends = dict[int, int]  # end offsets by partition


class Kind(StrEnum):
    """The kinds of faults."""

    kill = "kill"
    stop = "stop"
    pause = "pause"
    freeze = "freeze"
    add = "add"
    remove = "remove"
    broker = "broker"
    transaction = "transaction"
    clock = "clock"
    broker_clock = "broker-clock"
    leader = "leader"
    follower = "follower"
    roll = "roll"


DESCRIPTIONS = {
    Kind.kill: "kill -9 of a worker, then restart",
    Kind.stop: "SIGTERM to a worker, then restart",
    Kind.pause: "SIGSTOP for less than the session timeout, then SIGCONT",
    Kind.freeze: "SIGSTOP for more than the session timeout, then SIGCONT: a zombie worker",
    Kind.add: "one more worker",
    Kind.remove: "SIGTERM to a worker, no restart",
    Kind.broker: "kill -9 of the broker (of all nodes of a cluster), then restart on the same data and port",
    Kind.transaction: "another producer's transaction in the input, open for seconds, then aborted",
    Kind.clock: "a worker's wall clock hours ahead or back, for seconds",
    Kind.broker_clock: "the pocket broker's wall clock hours ahead or back, for seconds",
    Kind.leader: "kill -9 of the node of a cluster that leads a partition, then restart",
    Kind.follower: "SIGSTOP of a node of a cluster that follows in a partition, then SIGCONT",
    Kind.roll: "a restart of all nodes of a cluster, one after another",
}
# Only by --kinds: the timer still goes by the worker's clock, and by the last stable offset alone.
ON_REQUEST = frozenset({Kind.transaction, Kind.clock, Kind.broker_clock})
DEFAULT = frozenset(Kind) - ON_REQUEST
ON_NODES = frozenset({Kind.leader, Kind.follower, Kind.roll})  # with `--broker cluster`
MAY_REPEAT = frozenset({Kind.kill, Kind.freeze})  # may repeat a key with an equal value, see docs/delivery.md


@dataclass
class Fault:
    """An injected fault. `begin` and `recovered` are the end offsets of the finals before it and after the recovery."""

    number: int
    kind: Kind
    text: str
    overlaps: bool  # the next fault follows before the recovery
    begin: Ends = field(default_factory=dict)
    recovered: Ends | None = None

    def covers(self, partition: int, offset: int) -> bool:
        """Whether an offset of the finals was written between this fault and the recovery from it."""
        before_recovery = self.recovered is None or offset < self.recovered[partition]
        return self.begin.get(partition, 0) <= offset and before_recovery
