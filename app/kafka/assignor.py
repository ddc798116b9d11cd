"""How the workers of a group learn each other's web addresses: each tells its own when it joins, the leader tells all to all.

Partitions are dealt out by aiokafka's round robin; the addresses travel in the fields that the group protocol leaves to the
assignors, so that a group may hold members that tell none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

LONGEST = 500  # characters of an address


class Member(NamedTuple):
    """One worker of the group: its web address, empty where it told none, and its partitions of the input."""

    url: str
    partitions: list[int]


class AddressAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Round robin that also says who is where; one for each worker."""

    def __init__(self, topic: str, url: Callable[[], str]) -> None:
        """`url` gives this worker's web address when it joins."""
        self.members: list[Member] = []  # as of the last assignment
        self._topic = topic
        self._url = url

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this worker tells the group's leader."""
        return ConsumerProtocolMemberMetadata(self.version, list(topics), self._url().encode())

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """As its leader: deal out the partitions, and tell every member who has which."""
        dealt = super().assign(cluster, members)
        rows = [(_text(members[member].user_data), _of(self._topic, share.assignment)) for member, share in dealt.items()]
        told = orjson.dumps(sorted(rows))
        return {
            member: ConsumerProtocolMemberAssignment(share.version, share.assignment, told) for member, share in dealt.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """Take in what the leader told; one of another version told nothing."""
        try:
            rows = orjson.loads(assignment.user_data or b"[]")
            self.members = [Member(str(url), [int(number) for number in numbers]) for url, numbers in rows]
        except (ValueError, TypeError):
            self.members = []


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")[:LONGEST]


def _of(topic: str, assignment: Iterable[tuple[str, list[int]]]) -> list[int]:
    return sorted(number for name, numbers in assignment if name == topic for number in numbers)
