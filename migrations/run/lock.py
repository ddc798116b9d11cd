"""One runner at a time: whoever owns the only partition of the history's topic, in a consumer group of that name.

A holder that dies loses it by the session timeout. One that was frozen meanwhile finds that its membership has ended, and
when it writes to the history before that, its successor has fenced it: the group says whose turn it is, the fence makes it
safe.
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
SAY_AFTER = 3.0  # seconds of waiting
LONG_MS = 24 * 3_600_000  # nothing is ever read through it
_LOST = b"-"  # no id of a member
log = logging.getLogger(__name__)


class Turns:
    """Gives the partition to one member and leaves it there while that is a member; as aiokafka wants an assignor.

    aiokafka's sticky assignor keeps what it holds for the whole process and its generation not at all: a frozen holder that
    comes back, or the next lock of a process, would take the partition from its owner. Here each member is told its id with
    its assignment and claims by it: who was expelled comes back under another id, and its claim is worth nothing.
    """

    name = "barwheel-turns"

    def __init__(self, place: TopicPartition) -> None:
        self.mine = False
        self.lost = False
        self._place = place
        self._claim = b""

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this member says when it joins."""
        return ConsumerProtocolMemberMetadata(0, list(topics), self._claim)

    def assign(self, cluster: object, members: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # aiokafka's protocol
        """Whose turn it is; asked of one member, for all."""
        owner = next((member for member, said in members.items() if said.user_data == member.encode()), None)
        if owner is None:  # who has lost it has yet to notice, and is about to go
            owner = min(sorted(members), key=lambda member: members[member].user_data == _LOST)
        held = [(self._place.topic, [self._place.partition])]
        return {
            member: ConsumerProtocolMemberAssignment(0, held if member == owner else [], member.encode()) for member in members
        }

    def on_assignment(self, assignment: Any) -> None:
        """What this member was told."""
        given = self._place in assignment.partitions()
        if self.mine and not (given and assignment.user_data == self._claim):
            self.mine, self.lost, self._claim = False, True, _LOST
        elif given and not self.lost:
            self.mine, self._claim = True, assignment.user_data


class _Settled(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Whether the group has decided."""

    def __init__(self) -> None:
        self.now = asyncio.Event()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002  # eager: always all
        self.now.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002  # `Turns` knows
        self.now.set()


class Lock:
    """Use as `async with`; waits up to `wait_seconds` for its turn."""

    def __init__(self, cluster: Cluster, topic: str, *, wait_seconds: float, session_ms: int = SESSION_MS) -> None:
        self._topic = topic
        self._wait = wait_seconds
        self._turns = Turns(TopicPartition(topic, 0))
        self._settled = _Settled()
        self._consumer = AIOKafkaConsumer(
            **cluster.client,
            group_id=topic,
            enable_auto_commit=False,
            partition_assignment_strategy=(self._turns,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 10,
            rebalance_timeout_ms=session_ms,
            max_poll_interval_ms=LONG_MS,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        try:
            self._consumer.subscribe([self._topic], listener=self._settled)
            await self._my_turn()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def check(self) -> None:
        """Raises `LockLostError` unless it is still ours; waits while the group is about to decide."""
        try:
            async with asyncio.timeout(self._wait):
                await self._settled.now.wait()
        except TimeoutError:
            raise LockLostError(f"{self._topic}: the group does not settle; is the broker away?") from None
        if not self._turns.mine:
            raise LockLostError(f"{self._topic}: another runner has taken over")

    async def _my_turn(self) -> None:
        began, told = time.monotonic(), False
        while not self._turns.mine:
            waited = time.monotonic() - began
            if waited > self._wait:
                raise MigrationError(
                    f"{self._topic}: another runner is at work since {waited:.0f} s; "
                    "`app migrate unlock` takes the lock from one that hangs"
                )
            if waited > SAY_AFTER and not told:
                told = True
                log.info("%s: another runner is at work; waiting for it", self._topic)
            await asyncio.sleep(0.05)
