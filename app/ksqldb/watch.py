"""Watches what was created in ksqlDB: its queries with their states, errors and lag, its topics, and its processing log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.errors import BarwheelError, BrokerError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.sizes import topic_bytes
from app.kafka.topics import partition_counts
from app.ksqldb.boot import BOOT_SECONDS, target
from app.ksqldb.watched import GONE, TopicEnds, Watched, WatchedQuery, WatchedSource
from app.settings import Settings
from migrations.ksql.parse.statement import describe_executed
from migrations.plan.entry import Entry, Status
from migrations.plan.model import place
from migrations.server.catalog import Catalog, SourceDescription
from migrations.server.client import KsqlClient

WATCH_SECONDS = 30.0
READ_SECONDS = 10.0
LOG_STREAM = "KSQL_PROCESSING_LOG"  # what ksqlDB names the stream over its processing log, where that is switched on
NEWEST = 5  # entries of that log that are shown
LONGEST = 500  # characters of one
log = logging.getLogger(__name__)


async def keep_watch(settings: Settings, cluster: Cluster, watched: Watched, history: Any) -> None:
    """Look again and again until cancelled. `history` is the table of entries. A server that is away is logged once."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            async with target(settings, cluster, try_seconds=BOOT_SECONDS) as where:
                entries = [msgspec.convert(entry, Entry) for entry in list(history.data.values())]
                await look(where.client, cluster, watched, entries)
        except (BarwheelError, KafkaError, OSError) as error:
            if str(error) != watched.error:
                log.warning("ksqlDB: %s", error)
            watched.up, watched.error = False, str(error) or type(error).__name__


async def look(
    client: KsqlClient,
    cluster: Cluster,
    watched: Watched,
    entries: Iterable[Entry],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """One look at the server; `clock` gives seconds, for the rates since the look before.

    `entries` are in the order of the history, which is that of their execution.

    Where the broker cannot tell about the topics, their rates and sizes are not known, and that is logged once.
    """
    states, errors, lags = await client.query_states(), await client.query_errors(), await client.lags()
    catalog = await client.catalog()
    queries = []
    # statements that replace one another by OR REPLACE have one query: the last one counts
    running: dict[str, Entry] = {}
    for entry in entries:
        running.pop(entry.query_id or entry.id, None)  # it moves to the end
        running[entry.query_id or entry.id] = entry
    taken = _taken_away(list(running.values()))
    for entry in running.values():
        if not entry.query_id or entry.status is Status.sending or (entry.id in taken and entry.query_id not in states):
            continue
        writes = describe_executed(entry.text).name if entry.name == entry.query_id else entry.name
        lag = lags.get(writes)
        found = sum(lag.values()) if lag else None
        state = states.get(entry.query_id, GONE)
        put_aside = entry.status is Status.replaced
        queries.append(WatchedQuery(entry.query_id, writes, state, errors.get(entry.query_id, 0), found, put_aside))
    known = {entry.name for entry in running.values() if entry.status is not Status.sending}
    sources = [catalog.sources[name] for name in sorted(known & catalog.sources.keys())]
    watched.queries, watched.up, watched.error = queries, True, ""
    ends: TopicEnds | None = None
    sizes: Mapping[str, int] = {}
    try:
        ends, sizes, counts = await _look_at_topics(cluster, sources, clock)
        log_stream = catalog.sources.get(LOG_STREAM)
        log_partitions = 0 if log_stream is None else counts.get(log_stream.topic, 0)
        records, newest = (0, []) if log_stream is None else await newest_records(cluster, log_stream.topic, log_partitions)
        watched.log_records, watched.log_newest, watched.topics_error = records, newest, ""
    except (BrokerError, KafkaError, OSError) as error:  # the broker's trouble: ksqlDB has answered
        if str(error) != watched.topics_error:
            log.warning("topics of ksqlDB: %s", error)
        watched.topics_error = str(error) or type(error).__name__
    watched.sources = _watched_sources(sources, lags, catalog, sizes, watched.ends, ends)
    watched.ends = ends or watched.ends


def _taken_away(entries: Sequence[Entry]) -> set[str]:
    """Ids of the entries whose queries a later DROP or TERMINATE of a plan has ended: they stay in the history."""
    found: set[str] = set()
    for number, drop in enumerate(entries):
        info, before = describe_executed(drop.text), entries[:number]
        if info.kind.destructive and drop.status is Status.applied:
            if info.what == "QUERY":
                named = [one for one in before if one.query_id == info.name]
            else:
                same_name, wanted = (one for one in before if one.name == info.name), place(info.what, info.name)
                named = [one for one in same_name if place(describe_executed(one.text).what, one.name) == wanted]
            found |= {one.id for one in named}
    return found


async def _look_at_topics(
    cluster: Cluster, sources: Sequence[SourceDescription], clock: Callable[[], float]
) -> tuple[TopicEnds, Mapping[str, int], Mapping[str, int]]:
    """The ends of the sources' topics, their sizes in bytes, and how many partitions each topic of the broker has."""
    async with admin(cluster) as client:
        counts = await partition_counts(client)
        topics = {source.topic: counts[source.topic] for source in sources if source.topic in counts}
        sizes = await topic_bytes(client, topics) if topics else {}
    return TopicEnds(clock(), await _ends(cluster, topics)), sizes, counts


def _watched_sources(
    sources: Sequence[SourceDescription],
    lags: Mapping[str, Mapping[str, int]],
    catalog: Catalog,
    sizes: Mapping[str, int],
    before: TopicEnds | None,
    ends: TopicEnds | None,
) -> list[WatchedSource]:
    """The sources with the lag of their readers, and with what is known of their topics: `ends` now and `before`."""
    written = {query: one.name for one in catalog.sources.values() for query in one.queries}
    found = []
    for source in sources:
        read = [lags.get(written.get(query, ""), {}).get(source.topic) for query in source.readers]
        lag = max((records for records in read if records is not None), default=None)
        rate = None if before is None or ends is None else before.rate(source.topic, ends)
        found.append(WatchedSource(source.name, source.topic, rate, lag, sizes.get(source.topic)))
    return found


async def _ends(cluster: Cluster, topics: Mapping[str, int]) -> dict[str, int]:
    """The sum of the end offsets of each topic."""
    if not topics:
        return {}
    async with AIOKafkaConsumer(**cluster.client, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
        ends = await consumer.end_offsets(partitions)
    return {topic: sum(ends[TopicPartition(topic, number)] for number in range(count)) for topic, count in topics.items()}


async def newest_records(cluster: Cluster, topic: str, count: int) -> tuple[int, list[str]]:
    """The number of a topic's records and the newest of them, as text; the newest one first. `count`: of its partitions."""
    if not count:
        return 0, []
    found: list[tuple[int, str]] = []
    async with AIOKafkaConsumer(**cluster.client, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(partitions)
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(begins[partition], ends[partition] - NEWEST))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_SECONDS):
                for partition in partitions:
                    while await consumer.position(partition) < ends[partition]:
                        for records in (await consumer.getmany(partition, timeout_ms=200)).values():
                            found += [(record.timestamp, _shown(record.value)) for record in records]
    total = sum(ends[partition] - begins[partition] for partition in partitions)
    return total, [text for _, text in sorted(found, reverse=True)[:NEWEST]]


def _shown(value: bytes | None) -> str:
    """An entry of the processing log in one line: the logger, and the part of the message that is there."""
    try:
        entry: dict[str, Any] = orjson.loads(value or b"")
        message = {name: part for name, part in dict(entry["message"]).items() if part is not None and name != "type"}
        text = f"{entry['logger']}: {orjson.dumps(message).decode()}"
    except (ValueError, TypeError, KeyError):
        text = (value or b"").decode(errors="replace")
    return text[:LONGEST]
