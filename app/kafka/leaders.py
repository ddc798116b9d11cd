"""What the leaders of many partitions say at once: a partition without a leader does not hold the others.

Written for aiokafka 0.14.0. Its own methods for offsets fail for all partitions if one of them has no leader, after 40 seconds.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

AIOKAFKA_VERSION = "0.14.0"
Place = tuple[str, int]  # topic and partition
Bounds = tuple[int, int]  # the first offset that still exists, and the end offset


async def learn_leaders(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> None:
    """Ask for the leaders of these topics' partitions now. Raises `KafkaConnectionError` where no broker answers."""
    client = consumer._client  # noqa: SLF001  # aiokafka has no accessor
    client.set_topics(sorted(topics))
    if not await client.force_metadata_update():
        raise KafkaConnectionError("no broker answers a request for metadata")


def leaderless(consumer: AIOKafkaConsumer, places: Iterable[Place]) -> dict[Place, KafkaError]:
    """Those of these partitions that have no leader, as far as the client knows."""
    return {
        place: LeaderNotAvailableError(f"{place[0]}[{place[1]}] has no leader")
        for place in places
        if _leader(consumer, place) is None
    }


async def bounds_of(consumer: AIOKafkaConsumer, places: Iterable[Place]) -> tuple[dict[Place, Bounds], dict[Place, KafkaError]]:
    """The bounds of these partitions, and the errors of the others: two requests to each leader, all at the same time."""
    wanted = list(places)
    failed = leaderless(consumer, wanted)
    by_node: defaultdict[int, list[Place]] = defaultdict(list)
    for place in wanted:
        node = _leader(consumer, place)
        if node is not None:
            by_node[node].append(place)
    asked = [
        (which, node, there)
        for node, there in by_node.items()
        for which in (OffsetResetStrategy.EARLIEST, OffsetResetStrategy.LATEST)
    ]
    found: dict[Place, dict[int, int]] = {place: {} for place in wanted}
    for (which, _, _), answer in zip(asked, await asyncio.gather(*(_ask(consumer, *one) for one in asked)), strict=True):
        for place, offset in answer.items():
            if isinstance(offset, KafkaError):
                failed[place] = offset
            else:
                found[place][which] = offset
    bounds = {
        place: (offsets[OffsetResetStrategy.EARLIEST], offsets[OffsetResetStrategy.LATEST])
        for place, offsets in found.items()
        if place not in failed
    }
    return bounds, failed


async def _ask(consumer: AIOKafkaConsumer, which: int, node: int, places: list[Place]) -> dict[Place, int | KafkaError]:
    """One request to one broker: for each partition its offset, or the error."""
    topics: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for topic, partition in places:
        topics[topic].append((partition, which))
    level = consumer._fetcher._isolation_level  # noqa: SLF001  # aiokafka has no accessor
    try:
        answer = await consumer._client.send(node, OffsetRequest(-1, level, list(topics.items())))  # noqa: SLF001  # see above
    except KafkaError as error:
        return dict.fromkeys(places, error)
    found: dict[Place, int | KafkaError] = {
        place: KafkaError(f"broker {node} does not tell the offsets of {place[0]}[{place[1]}]") for place in places
    }
    for topic, partitions in answer.topics:
        for partition, code, _, offset, *_ in partitions:
            found[topic, partition] = for_code(code)(f"{topic}[{partition}]") if code else offset
    return found


def _leader(consumer: AIOKafkaConsumer, place: Place) -> int | None:
    node: Any = consumer._client.cluster.leader_for_partition(TopicPartition(*place))  # noqa: SLF001  # aiokafka has no accessor
    return None if node is None or node < 0 else int(node)


def assign_known(consumer: AIOKafkaConsumer, places: Iterable[Place]) -> None:
    """Assign partitions of topics whose leaders are known. `assign` would ask for metadata whenever the topic changes."""
    consumer._subscription.assign_from_user([TopicPartition(*place) for place in places])  # noqa: SLF001  # see the docstring
