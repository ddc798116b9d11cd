"""A partition assignor through which the workers of a group also learn each other's web addresses.

Each member sends its address to the group's leader when it joins, and the leader sends all addresses to all members. They
travel in the `user_data` fields that the group protocol leaves to the assignor, so a member without an address can take part.
Partitions are assigned by aiokafka's round robin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

MAX_ADDRESS = 500  # characters


class Member(NamedTuple):
    """A worker of the group: its web address, empty if it sent none, and its partitions of the input."""

    url: str
    partitions: list[int]


class AddressAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Round robin that also distributes the members' addresses. Each worker has one instance."""

    def __init__(self, topic: str, url: Callable[[], str]) -> None:
        """`url` returns this worker's web address; it is called when the worker joins the group."""
        self.members: list[Member] = []  # as of the last assignment
        self._topic = topic
        self._url = url

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this member sends to the leader."""
        return ConsumerProtocolMemberMetadata(self.version, list(topics), self._url().encode())

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """As leader: assign the partitions, and tell every member which member has which."""
        assignments = super().assign(cluster, members)
        rows = [
            (_decoded(members[member].user_data), _partitions_of(self._topic, assigned.assignment))
            for member, assigned in assignments.items()
        ]
        user_data = orjson.dumps(sorted(rows))
        return {
            member: ConsumerProtocolMemberAssignment(assigned.version, assigned.assignment, user_data)
            for member, assigned in assignments.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """Read the addresses from the leader's assignment; a leader of another version sends none."""
        try:
            rows = orjson.loads(assignment.user_data or b"[]")
            self.members = [Member(str(url), [int(number) for number in numbers]) for url, numbers in rows]
        except (ValueError, TypeError):
            self.members = []


def _decoded(user_data: bytes | None) -> str:
    return (user_data or b"").decode(errors="replace")[:MAX_ADDRESS]


def _partitions_of(topic: str, assignment: Iterable[tuple[str, list[int]]]) -> list[int]:
    return sorted(number for name, numbers in assignment if name == topic for number in numbers)
