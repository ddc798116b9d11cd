"""Which leaders are known to show every record that was acknowledged before they became leaders.

A new leader has all of these records, but at first it may show fewer of them: it learns from its followers' fetches how far
its predecessor had shown them. Until then it answers a fetch of acknowledged records as if the log had ended, and refuses to
tell the end offset (KIP-207, Kafka 2.2). So an empty answer counts only after a leader has told the end offset over the same
connection. A broker that was restarted has other connections, and one that no longer leads refuses a fetch.

Written for aiokafka 0.14.0.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from app.kafka.leaders import Place

log = logging.getLogger(__name__)
NO_REPLICA, READ_UNCOMMITTED = -1, 0


class CaughtUpLeaders:
    """Asks the leaders that are not known yet."""

    def __init__(self, client: Any) -> None:
        self._client = client  # aiokafka's
        self._known: dict[Place, Any] = {}  # the connection over which the leader gave the end offset

    def forget(self, place: Place) -> None:
        """A fetch of this partition was refused: another broker may lead it."""
        self._known.pop(place, None)

    async def among(self, node: int, ends: Mapping[Place, int]) -> Mapping[Place, int]:
        """Those of these empty answers of a node that show where the log ended. `ends`: the high watermark of each."""
        connection = self._client._conns.get((node, ConnectionGroup.DEFAULT))  # noqa: SLF001  # aiokafka has no accessor
        if connection is None:  # it has been closed since
            return {}
        unknown = [place for place in ends if self._known.get(place) is not connection]
        if not unknown:
            return ends
        told = await self._ask(node, unknown)
        self._known |= dict.fromkeys(told, connection)
        return {
            place: end for place, end in ends.items() if self._known.get(place) is connection and told.get(place, end) == end
        }

    async def _ask(self, node: int, places: Iterable[Place]) -> dict[Place, int]:
        """The end offsets that the node tells as the leader of partitions."""
        topics: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for topic, partition in places:
            topics[topic].append((partition, OffsetResetStrategy.LATEST))
        try:
            answer = await self._client.send(node, OffsetRequest(NO_REPLICA, READ_UNCOMMITTED, list(topics.items())))
        except KafkaError as error:  # asked again after the next empty answer
            log.info("broker %d does not tell the end offsets of its partitions: %s", node, error)
            return {}
        found: dict[Place, int] = {}
        for topic, parts in answer.topics:
            for partition, code, _, offset, *_ in parts:
                if code:
                    log.info("the leader of %s[%d] does not show all of it yet: %s", topic, partition, for_code(code).__name__)
                else:
                    found[topic, partition] = offset
        return found
