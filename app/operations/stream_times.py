"""How far the stream times of the input topic are: what is older is late when it is sent now."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from agents.engines import engine_config, restored_engine
from agents.layout import tick_layout
from agents.recovery import recover
from agents.topics import TopicsReport, check_partitions
from app.errors import StateError
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.kafka.slices import from_offset
from app.settings import Settings
from app.tickfiles.survey import Scope
from tables.engine import Engine

LOOK_BACK = 100_000  # records at the end of a partition that are read, at most


@dataclass
class Reached:
    """Stream times in epoch ms. `problem`: why the stored state could not be used, most often a worker with other settings."""

    times: dict[Scope, int] = field(default_factory=dict)
    problem: str | None = None

    def add(self, scope: Scope, ms: int) -> None:
        """Take the later of two times for a scope."""
        self.times[scope] = max(ms, self.times.get(scope, ms))


async def stream_times(settings: Settings, cluster: Cluster, topics: TopicsReport) -> Reached:
    """The stream times of all scopes: of the last checkpoint, and of what lies in the topic after it."""
    found = Reached()
    if settings.input_topic in topics.created:
        return found
    names = frozenset(settings.recovered_topics)
    async with Reader(cluster, names) as reader:
        for number in range(topics.partitions):
            begin, end = await reader.bounds(settings.input_topic, number)
            start = max(begin, end - LOOK_BACK)
            try:
                now = await check_partitions(settings, cluster, topics.partitions)
                recovered = await recover(reader, settings, number, topics.partitions, now)
            except StateError as error:
                found.problem = str(error)
            else:
                start = max(start, recovered.position.next_offset)
                _add(found, number, restored_engine(settings, recovered))
            engine = Engine(engine_config(settings), start, tick_layout(settings))
            cap = None if topics.log_append_time and not settings.repartition else time.time_ns() // 1_000_000
            if start < end:
                async for batch in reader.read(settings.input_topic, number, start, end):
                    engine.feed(from_offset(iter(batch), start), cap)
                    engine.take_closed()  # what is taken is freed
                    engine.take_after_close()
                    engine.take_side()
            _add(found, number, engine)
    return found


def _add(found: Reached, partition: int, engine: Engine) -> None:
    for name, (ms, _) in engine.stream_times().items():
        found.add((partition, name), ms)
    if engine.windows.per_symbol:
        for key, symbol in engine.symbols.items():
            found.add((partition, key.decode()), symbol.scope.stream_time)
        for key, rested in engine.windows.resting.items():
            found.add((partition, key.decode()), rested.stream_time)
