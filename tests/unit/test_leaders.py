"""Offsets are asked of each leader in two requests for all its partitions, and one partition without an answer fails alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, LeaderNotAvailableError, NotLeaderForPartitionError
from aiokafka.protocol.offset import OffsetRequest

from app.kafka.cluster import Cluster
from app.kafka.leaders import bounds_of, learn_leaders
from app.kafka.reader import Reader

EARLIEST, LATEST, NOT_LEADER = -2, -1, 6
PLACES = [(topic, number) for topic in ("ticks", "finals", "changelog") for number in range(64)]


class Client:
    """A client of two brokers. Partition n is led by broker n % 2."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.leaderless: set[tuple[str, int]] = set()
        self.moved: set[tuple[str, int]] = set()
        self.silent: set[int] = set()
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: -1 if tuple(tp) in self.leaderless else tp.partition % 2)

    async def send(self, node: int, request: OffsetRequest) -> Any:
        self.sent.append(node)
        if node in self.silent:
            raise KafkaConnectionError("closed")
        answers = []
        for topic, partitions in request._topics:
            rows = [
                (number, 6 * ((topic, number) in self.moved), -1, 10 if which == -2 else 20) for number, which in partitions
            ]
            answers.append((topic, rows))
        return SimpleNamespace(topics=answers)


@pytest.fixture
def consumer() -> Any:
    return SimpleNamespace(_client=Client(), _fetcher=SimpleNamespace(_isolation_level=1))


async def test_two_requests_to_each_leader_tell_the_bounds_of_all_partitions(consumer: Any) -> None:
    bounds, failed = await bounds_of(consumer, PLACES)
    assert bounds == dict.fromkeys(PLACES, (10, 20))
    assert failed == {}
    assert sorted(consumer._client.sent) == [0, 0, 1, 1]


async def test_a_partition_whose_leader_is_missing_or_has_moved_fails_alone(consumer: Any) -> None:
    consumer._client.leaderless, consumer._client.moved = {("ticks", 3)}, {("finals", 4)}
    bounds, failed = await bounds_of(consumer, PLACES)
    assert {place: type(error) for place, error in failed.items()} == {
        ("ticks", 3): LeaderNotAvailableError,
        ("finals", 4): NotLeaderForPartitionError,
    }
    assert bounds.keys() == set(PLACES) - failed.keys()


async def test_a_broker_that_is_away_fails_its_partitions_alone(consumer: Any) -> None:
    consumer._client.silent = {1}
    bounds, failed = await bounds_of(consumer, PLACES)
    assert {number % 2 for _, number in bounds} == {0}
    assert failed.keys() == {place for place in PLACES if place[1] % 2}


async def test_leaders_that_nobody_tells_are_an_error(consumer: Any) -> None:
    async def update() -> bool:
        return False

    consumer._client.set_topics, consumer._client.force_metadata_update = lambda _: None, update
    with pytest.raises(KafkaError, match="no broker answers"):
        await learn_leaders(consumer, ["ticks"])


async def test_a_reader_does_not_ask_for_bounds_that_it_was_told() -> None:
    reader = Reader(Cluster("127.0.0.1:1"), frozenset({"ticks"}), known={("ticks", 3): (10, 20)})
    assert await reader.bounds("ticks", 3) == (10, 20)
    await reader._consumer.stop()
