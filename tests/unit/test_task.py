"""A partition at work: what a reader of the finals cannot know yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agents.recovery import Recovered
from agents.task import PartitionTask
from app.kafka.batches import Outgoing, Run, flat
from app.kafka.cluster import Cluster
from app.kafka.producers import BatchProducer, Sent, TransactionalProducer
from app.kafka.slices import Slice
from app.settings import Settings
from tables.state import Counters, Position
from tests.simulation.topics import Part, Row

T0 = 1_399_248_000_000


class Held(BatchProducer):
    """Never reaches its broker: holds what it is given until it is told that it failed."""

    def __init__(self) -> None:
        super().__init__(Cluster("127.0.0.1:1"), max_request=1 << 20)
        self.given: list[Outgoing] = []
        self.holds = asyncio.Event()
        self.failed: asyncio.Future[list[Sent]] = asyncio.get_running_loop().create_future()

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing | Run]) -> list[Sent]:  # noqa: ARG002  # its signature
        self.given += flat(records)
        self.holds.set()
        return await self.failed


async def test_bars_on_their_way_to_the_producer_are_not_taken_for_windows_that_never_opened() -> None:
    settings = Settings.load(broker="kafka://127.0.0.1:1")
    position = Position(
        next_offset=0, arrival=0, scopes={}, counters=Counters(), finals_end=0, changelog_start=0, fingerprint={}
    )
    checkpoints = TransactionalProducer(Cluster("127.0.0.1:1"), max_request=1 << 20, transactional_id="x", group="x")
    finals = Held()
    partition = PartitionTask(settings, 0, Recovered(position), checkpoints, finals, append_time=True, max_record=1 << 20)
    assert not partition.has_bars_beyond(0)
    rows = [Row(n, T0 + n * 70_000, b"A|x", b'{"ts": %d, "bid": 1.5}' % (T0 + n * 70_000)) for n in range(2)]
    feeding = asyncio.create_task(partition.feed(Slice(partition.number, partition, [Part(0, 2, rows)], T0 + 70_000)))
    await finals.holds.wait()
    assert partition.has_bars_beyond(0)
    finals.failed.set_exception(OSError("gone"))
    (error,) = await asyncio.gather(feeding, return_exceptions=True)
    assert isinstance(error, OSError)
    assert await partition.checkpoint() is None  # nor ever after: the bar is nowhere else
    await asyncio.gather(checkpoints.stop(), finals.stop())
