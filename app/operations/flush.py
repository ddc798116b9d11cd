"""Closing open windows before they are due, by heartbeats in the input: the bars stay a function of the input topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agents.engines import restored_engine
from agents.layout import tick_layout
from agents.recovery import Recovered, recover
from agents.topics import TopicsReport, check_partitions
from app.errors import InputError, TopicsError
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.settings import Settings
from app.tickfiles.feed import Feed


@dataclass(frozen=True)
class OpenScope:
    """The open windows of one scope, which one heartbeat closes."""

    partition: int
    key: bytes  # of a symbol in the scope
    windows: int
    closes: int  # event time in epoch ms that closes the last of them: its end + grace


async def open_scopes(settings: Settings, cluster: Cluster, topics: TopicsReport, broker: str | None) -> list[OpenScope]:
    """What is open as of the last checkpoints, of one broker or, with None, of all.

    Raises `TopicsError` if no worker has run yet, and `StateError` if the stored state does not fit the settings.
    """
    if settings.input_topic not in topics.states or settings.changelog_topic not in topics.states:
        raise TopicsError(f"{settings.input_topic} or {settings.changelog_topic} does not exist: no worker has run yet")
    scopes: list[OpenScope] = []
    names = frozenset(settings.recovered_topics)
    now = await check_partitions(settings, cluster, topics.partitions)
    async with Reader(cluster, names) as reader:
        for number in range(topics.partitions):
            recovered = await recover(reader, settings, number, topics.partitions, now)
            scopes += partition_scopes(settings, recovered, number, broker)
    return scopes


async def close_scopes(settings: Settings, cluster: Cluster, topics: TopicsReport, scopes: Iterable[OpenScope]) -> None:
    """Send one heartbeat per scope to its partition; raises `BrokerError`.

    Raises `InputError`, before anything was sent, where the input's layout has no heartbeats.
    """
    layout = tick_layout(settings)
    if layout.no_heartbeats:
        raise InputError(f"no heartbeat can be written to {settings.input_topic}: {layout.no_heartbeats}")
    try:
        records = [(*layout.heartbeat(scope.key, scope.closes), scope.partition) for scope in scopes]
    except ValueError as error:
        raise InputError(f"no heartbeat can be written to {settings.input_topic}: {error}") from None
    async with Feed(cluster, settings.input_topic, topics.partitions, max_batch=topics.max_message_bytes) as feed:
        for key, value, partition in records:
            if feed.put(key, value, partition=partition):
                await feed.flush()


def partition_scopes(settings: Settings, recovered: Recovered, number: int, broker: str | None) -> Iterator[OpenScope]:
    """The scopes of one partition with open windows, as a worker would recover them."""
    engine = restored_engine(settings, recovered)
    scopes: dict[int, list[tuple[int, bytes]]] = {}
    for key, symbol in engine.symbols.items():
        if broker is None or symbol.name[0] == broker:
            scopes.setdefault(id(symbol.scope), []).extend((window.end, key) for window in symbol.windows())
    for ends in scopes.values():
        if ends:
            end, key = max(ends)
            yield OpenScope(number, key, len(ends), end + settings.grace)
