"""A pocket broker in a thread of the test, some of whose partitions have no leader, as where all their replicas are down.

It answers for them as Kafka does: LEADER_NOT_AVAILABLE in the metadata, NOT_LEADER_OR_FOLLOWER to requests for their records.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.pocket.data import by_topic
from app.pocket.server import Broker
from app.pocket.wire import Body

LEADER_NOT_AVAILABLE, NOT_LEADER = 5, 6
PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
NOTHING: dict[int, Body] = {
    PRODUCE: {"offset": -1, "timestamp": -1, "log_start_offset": -1},
    LIST_OFFSETS: {"timestamp": -1, "offset": -1, "leader_epoch": -1},
    FETCH: {
        "highwater_offset": -1,
        "last_stable_offset": -1,
        "log_start_offset": -1,
        "message_set": b"",
        "preferred_read_replica": -1,
    },
}


class LeaderlessBroker(Broker):
    """`without_leader`: the partitions, each a topic and a number, that have none at this moment."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.without_leader: set[tuple[str, int]] = set()
        for api in (PRODUCE, FETCH, LIST_OFFSETS):
            self._handlers[api] = self._without(api, self._handlers[api])
        self._handlers[METADATA] = self._metadata(self._handlers[METADATA])

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    def _metadata(self, handler: Callable[[Body], Any]) -> Callable[[Body], Any]:
        def answer(request: Body) -> Any:
            found = handler(request)
            for topic in found["topics"]:
                for part in topic["partitions"]:
                    if (topic["topic"], part["partition"]) in self.without_leader:
                        part |= {"error_code": LEADER_NOT_AVAILABLE, "leader": -1}
            return found

        return answer

    def _without(self, api: int, handler: Callable[[Body], Any]) -> Callable[[Body], Any]:
        async def answer(request: Body) -> Any:
            rows, others = [], []
            for topic in request["topics"]:
                kept = []
                for part in topic["partitions"]:
                    place = topic["topic"], part["partition"]
                    if place in self.without_leader:
                        rows.append((place[0], {"partition": place[1], "error_code": NOT_LEADER, **NOTHING[api]}))
                    else:
                        kept.append(part)
                others.append({**topic, "partitions": kept})
            found = handler({**request, "topics": others})
            if asyncio.iscoroutine(found):
                found = await found
            return None if found is None else {**found, "topics": [*found["topics"], *by_topic(rows)]}

        return answer


@contextmanager
def leaderless_broker(folder: Path) -> Iterator[LeaderlessBroker]:
    """A running broker."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = asyncio.run_coroutine_threadsafe(_started(folder), loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _started(folder: Path) -> LeaderlessBroker:
    return await LeaderlessBroker(folder).start()
