"""The lock: only one runner applies plans at a time.

The holder is the owner of the only partition of the history's topic, in a consumer group of the same name. A holder that dies
loses the lock by the session timeout. A holder that was frozen finds on its return that its membership has ended. If it writes
to the history before that, the producer of its successor has fenced it. The group decides who may apply; fencing makes it safe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from app.kafka.cluster import Cluster
from migrations.errors import LockLostError, MigrationError

SESSION_MS = 10_000
ANNOUNCE_SECONDS = 3.0  # a wait that takes longer is logged
MAX_POLL_MS = 24 * 3_600_000  # the consumer never polls for records
_LOST = b"-"  # user data of a member that has lost the lock; no member has this id
log = logging.getLogger(__name__)


class LockAssignor:
    """A partition assignor, in the form that aiokafka expects. It leaves the partition with its owner while that is a member.

    aiokafka's sticky assignor does not suffice: it keeps its assignment for the whole process and ignores the generation. So a
    frozen holder that returns, or the next lock of the same process, would take the partition from its owner. Here each member
    receives its member id with the assignment, and claims the partition by that id. An expelled member returns under another
    id, so its claim is void.
    """

    name = "barwheel-turns"  # the group's protocol; another name would keep out members of earlier versions

    def __init__(self, partition: TopicPartition) -> None:
        self.owned = False
        self.lost = False
        self._partition = partition
        self._claim = b""

    def metadata(self, topics: Iterable[str]) -> Any:
        """The metadata of this member's JoinGroup request: its claim."""
        return ConsumerProtocolMemberMetadata(0, list(topics), self._claim)

    def assign(self, cluster: object, members: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # aiokafka's protocol
        """The assignments of all members; the group's leader computes them."""
        owner = next((member for member, metadata in members.items() if metadata.user_data == member.encode()), None)
        if owner is None:  # prefer members that have not lost the lock: those are about to leave
            owner = min(sorted(members), key=lambda member: members[member].user_data == _LOST)
        owned = [(self._partition.topic, [self._partition.partition])]
        return {
            member: ConsumerProtocolMemberAssignment(0, owned if member == owner else [], member.encode()) for member in members
        }

    def on_assignment(self, assignment: Any) -> None:
        """Take this member's assignment."""
        assigned = self._partition in assignment.partitions()
        if self.owned and not (assigned and assignment.user_data == self._claim):
            self.owned, self.lost, self._claim = False, True, _LOST
        elif assigned and not self.lost:
            self.owned, self._claim = True, assignment.user_data


class _Settled(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """An event that is set while no rebalance is in progress."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002  # aiokafka's protocol
        self.event.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002  # the assignor has it
        self.event.set()


class ApplyLock:
    """Use as `async with`. Raises `MigrationError` if another runner holds the lock for longer than `wait_seconds`."""

    def __init__(self, cluster: Cluster, topic: str, *, wait_seconds: float, session_ms: int = SESSION_MS) -> None:
        self._topic = topic
        self._wait_seconds = wait_seconds
        self._assignor = LockAssignor(TopicPartition(topic, 0))
        self._settled = _Settled()
        self._consumer = AIOKafkaConsumer(
            **cluster.client,
            group_id=topic,
            enable_auto_commit=False,
            partition_assignment_strategy=(self._assignor,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 10,
            rebalance_timeout_ms=session_ms,
            max_poll_interval_ms=MAX_POLL_MS,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        try:
            self._consumer.subscribe([self._topic], listener=self._settled)
            await self._acquire()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def check(self) -> None:
        """Raises `LockLostError` unless the lock is still held. During a rebalance, waits for its end."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._settled.event.wait()
        except TimeoutError:
            raise LockLostError(f"{self._topic}: the consumer group does not end its rebalance; is the broker away?") from None
        if not self._assignor.owned:
            raise LockLostError(f"{self._topic}: another runner has taken over")

    async def _acquire(self) -> None:
        began, announced = time.monotonic(), False
        while not self._assignor.owned:
            waited = time.monotonic() - began
            if waited > self._wait_seconds:
                raise MigrationError(
                    f"{self._topic}: another runner is at work (for {waited:.0f} s now); "
                    "`app migrate unlock` takes the lock from one that hangs"
                )
            if waited > ANNOUNCE_SECONDS and not announced:
                announced = True
                log.info("%s: another runner is at work; waiting for it", self._topic)
            await asyncio.sleep(0.05)
