"""The workers of a group learn each other's web addresses, also if some members send none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from app.kafka.assignor import AddressAssignor, Member


class Cluster:
    """Every topic has four partitions."""

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0, 1, 2, 3}


def joined(assignor: AddressAssignor | type[RoundRobinPartitionAssignor]) -> Any:
    return assignor.metadata({"ticks"})


def test_every_member_learns_who_has_which_partitions_and_round_robin_assigns_them() -> None:
    first, second = AddressAssignor("ticks", lambda: "http://a:1"), AddressAssignor("ticks", lambda: "http://b:2")
    members = {"m1": joined(first), "m2": joined(second)}
    assigned = first.assign(Cluster(), members)
    plain = RoundRobinPartitionAssignor.assign(Cluster(), members)
    assert {m: part.assignment for m, part in assigned.items()} == {m: part.assignment for m, part in plain.items()}
    for assignor, member in ((first, "m1"), (second, "m2")):
        assignor.on_assignment(ConsumerProtocolMemberAssignment.decode(assigned[member].encode()))
        assert assignor.members == [Member("http://a:1", [0, 2]), Member("http://b:2", [1, 3])]


def test_a_member_without_an_address_takes_part_and_a_leader_without_addresses_clears_them() -> None:
    ours = AddressAssignor("ticks", lambda: "http://a:1")
    assigned = ours.assign(Cluster(), {"m1": joined(ours), "m2": joined(RoundRobinPartitionAssignor)})
    ours.on_assignment(assigned["m1"])
    assert ours.members == [Member("", [1, 3]), Member("http://a:1", [0, 2])]
    ours.on_assignment(SimpleNamespace(user_data=b""))
    assert ours.members == []
    ours.on_assignment(SimpleNamespace(user_data=b"\xff of another kind"))
    assert ours.members == []
