"""An empty fetch response ends the log only where the leader shows all that was acknowledged before it led."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaConnectionError, LeaderNotAvailableError, NotLeaderForPartitionError
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v4
from aiokafka.protocol.offset import OffsetRequest, OffsetResponse_v3

from app.kafka.fetcher import Heads, _ObservedClient

NODE, TOPIC, PLACE = 1, "ticks", ("ticks", 0)
STABLE = 7  # the offset at which the fetches begin, and the high watermark that a new leader has from its predecessor


class Leader:
    """A client of one broker. `shown`: its high watermark; `refused`: the error with which it does not tell that."""

    def __init__(self) -> None:
        self.shown, self.refused, self.fetch_error = STABLE, 0, 0
        self.asked: list[list[int]] = []  # the partitions of each request for end offsets
        self.away = False
        self.shows_later = 0  # offsets more after each fetch
        self.undecided = 0  # the last offsets are of a transaction
        self._conns: dict[Any, object] = {}
        self.connect()

    def connect(self) -> None:
        self._conns[NODE, ConnectionGroup.DEFAULT] = object()

    async def send(self, _: int, request: Any) -> Any:
        if isinstance(request, OffsetRequest):
            ((_, parts),) = request._topics
            self.asked.append([number for number, _ in parts])
            if self.away:
                raise KafkaConnectionError("connection lost")
            told = [(number, self.refused, -1, -1 if self.refused else self.shown) for number, _ in parts]
            return OffsetResponse_v3(0, [(TOPIC, told)])
        ((topic, wanted),) = request.topics
        empty: list[Any] = [
            (number, self.fetch_error, self.shown, self.shown - self.undecided, [], b"") for number, *_ in wanted
        ]
        self.shown += self.shows_later
        return FetchResponse_v4(0, [(topic, empty)])


@pytest.fixture
def leader() -> Leader:
    return Leader()


async def fetched(client: _ObservedClient, partitions: int = 1) -> Heads:
    """The heads after one more fetch."""
    client._heads.clear()
    await client.send(NODE, FetchRequest(200, 1, 1_000_000, 1, [(TOPIC, [(n, STABLE, 1_000) for n in range(partitions)])]))
    return client._heads


async def test_the_end_is_asked_for_once_for_all_partitions_of_a_connection(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    for _ in range(3):
        heads = await fetched(client, 3)
        assert [(place, head.offset) for place, head in heads.items()] == [((TOPIC, n), STABLE) for n in range(3)]
    assert leader.asked == [[0, 1, 2]]


async def test_a_new_leader_that_does_not_show_all_yet_ends_no_log(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    leader.refused = LeaderNotAvailableError.errno
    assert await fetched(client) == {}
    assert await fetched(client) == {}
    leader.refused = 0
    assert (await fetched(client))[PLACE].offset == STABLE
    assert leader.asked == [[0]] * 3


async def test_records_that_show_between_the_two_answers_end_no_log(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    leader.shows_later = 1
    assert await fetched(client) == {}
    leader.shows_later = 0
    assert (await fetched(client))[PLACE].offset == STABLE + 1


async def test_a_broker_that_was_connected_to_anew_is_asked_again(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    assert PLACE in await fetched(client)
    leader.connect()
    leader.refused = LeaderNotAvailableError.errno
    assert await fetched(client) == {}


async def test_a_leader_that_refused_a_fetch_is_asked_again(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    assert PLACE in await fetched(client)
    leader.fetch_error = NotLeaderForPartitionError.errno
    assert await fetched(client) == {}
    assert client.refusals == 1
    leader.fetch_error, leader.refused = 0, LeaderNotAvailableError.errno
    assert await fetched(client) == {}


async def test_an_end_that_cannot_be_asked_for_ends_no_log_and_no_fetch(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    leader.away = True
    assert await fetched(client) == {}
    leader.away = False
    assert PLACE in await fetched(client)


async def test_an_answer_whose_connection_is_closed_ends_no_log(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    leader._conns.clear()
    assert await fetched(client) == {}
    assert leader.asked == []


async def test_an_empty_answer_behind_an_open_transaction_is_not_asked_about(leader: Leader) -> None:
    client = _ObservedClient(leader, {})
    leader.undecided = 1
    assert await fetched(client) == {}
    assert leader.asked == []
