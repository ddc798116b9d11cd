"""One runner at a time: whoever owns the only partition of the history's topic, in a consumer group of that name.

A holder that dies loses it by the session timeout. One that was frozen meanwhile is stopped when it writes to the history, as
its successor has fenced it: the group says whose turn it is, the fence makes it safe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from app.security import Cluster
from migrations.errors import LockLostError, MigrationError

SESSION_MS = 10_000
SAY_AFTER = 3.0  # seconds of waiting
LONG_MS = 24 * 3_600_000  # nothing is ever read through it
log = logging.getLogger(__name__)


class _Turns(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What the group says; sticky assignment leaves the partition with its owner when others come."""

    def __init__(self, place: TopicPartition) -> None:
        self._place = place
        self.settled = asyncio.Event()
        self.mine = False
        self.given_away = False

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002  # eager: always all
        self.settled.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.given_away |= self.mine and self._place not in assigned
        self.mine = self._place in assigned
        self.settled.set()


class Lock:
    """Use as `async with`; waits up to `wait_seconds` for its turn."""

    def __init__(self, cluster: Cluster, topic: str, *, wait_seconds: float, session_ms: int = SESSION_MS) -> None:
        self._topic = topic
        self._wait = wait_seconds
        self._turns = _Turns(TopicPartition(topic, 0))
        self._consumer = AIOKafkaConsumer(
            **cluster.client,
            group_id=topic,
            enable_auto_commit=False,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 10,
            rebalance_timeout_ms=session_ms,
            max_poll_interval_ms=LONG_MS,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        try:
            self._consumer.subscribe([self._topic], listener=self._turns)
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
                await self._turns.settled.wait()
        except TimeoutError:
            raise LockLostError(f"{self._topic}: the group does not settle; is the broker away?") from None
        if self._turns.given_away or not self._turns.mine:
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
