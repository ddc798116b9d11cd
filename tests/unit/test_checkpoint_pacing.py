"""When a checkpoint is made: each interval where few states have changed, and at a good moment where much is read at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.checkpoint_pacing import CHECKPOINT_SHARE, STATE_SECONDS, CheckpointPacing
from agents.recovery import Recovered
from agents.task import PartitionTask
from app.kafka.cluster import Cluster
from app.kafka.producers import TransactionalProducer
from app.settings import Settings
from tables.state import Counters, Position
from tests.unit.model import Wire

T0 = 1_399_248_000_000
MINUTE, GRACE = 60_000, 5_000
SYMBOLS = 1_000


def tick(partition: PartitionTask, ts: int, names: range) -> None:
    first = partition.engine.next_offset
    partition.engine.feed([Wire(first + n, ts, b"A|S%d" % name, b'{"ts":%d,"bid":1.5}' % ts) for n, name in enumerate(names)])


@asynccontextmanager
async def partition_of(settings: Settings) -> AsyncIterator[PartitionTask]:
    cluster = Cluster("127.0.0.1:1")  # nothing is sent
    producer = TransactionalProducer(cluster, max_request=1 << 20, transactional_id="t", group="g")
    position = Position(
        next_offset=0, arrival=0, scopes={}, counters=Counters(), finals_end=0, changelog_start=0, fingerprint={}
    )
    found = Recovered(position, finals_end=0, changelog_end=0)
    yield PartitionTask(settings, 0, found, producer, None, append_time=True, max_record=1 << 20)
    await producer.stop()


async def test_a_checkpoint_waits_for_a_time_that_its_states_are_worth_and_comes_at_once_when_their_windows_have_closed() -> (
    None
):
    pacing = CheckpointPacing(interval=1.0)
    async with partition_of(Settings.load()) as partition:
        tick(partition, T0, range(SYMBOLS))
        assert partition.engine.snapshots.due == SYMBOLS
        worth = CHECKPOINT_SHARE * STATE_SECONDS * SYMBOLS
        now = time.monotonic()
        partition.checkpoint_began = now + 60
        assert not pacing.affordable(partition, 1)
        partition.checkpoint_began = now - worth
        assert pacing.affordable(partition, 1)
        tick(partition, T0 + MINUTE + GRACE, range(1))
        assert partition.engine.snapshots.due == 1, "all but the newest window have closed"
        partition.checkpoint_began = now - worth / SYMBOLS
        assert pacing.affordable(partition, 1)


async def test_under_scope_symbol_every_changed_symbol_is_due_as_its_state_holds_its_clock() -> None:
    async with partition_of(Settings.load(scope="symbol")) as partition:
        tick(partition, T0, range(SYMBOLS))
        partition.engine.advance_arrival(T0 + 10 * MINUTE)
        assert partition.engine.open_windows == 0
        assert partition.engine.snapshots.due == SYMBOLS
