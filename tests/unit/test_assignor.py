"""Workers of a group learn each other's web addresses, also beside members that tell none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from app.kafka.assignor import AddressAssignor, Member


class Cluster:
    """Four partitions of whatever is asked for."""

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0, 1, 2, 3}


def joined(assignor: AddressAssignor | type[RoundRobinPartitionAssignor]) -> Any:
    return assignor.metadata({"ticks"})


def test_every_member_is_told_who_has_which_partitions_and_they_are_dealt_out_as_before() -> None:
    first, second = AddressAssignor("ticks", lambda: "http://a:1"), AddressAssignor("ticks", lambda: "http://b:2")
    members = {"m1": joined(first), "m2": joined(second)}
    dealt = first.assign(Cluster(), members)
    plain = RoundRobinPartitionAssignor.assign(Cluster(), members)
    assert {m: share.assignment for m, share in dealt.items()} == {m: share.assignment for m, share in plain.items()}
    for assignor, member in ((first, "m1"), (second, "m2")):
        assignor.on_assignment(ConsumerProtocolMemberAssignment.decode(dealt[member].encode()))
        assert assignor.members == [Member("http://a:1", [0, 2]), Member("http://b:2", [1, 3])]


def test_a_member_that_tells_nothing_has_no_address_and_a_leader_that_tells_nothing_leaves_none_known() -> None:
    ours = AddressAssignor("ticks", lambda: "http://a:1")
    dealt = ours.assign(Cluster(), {"m1": joined(ours), "m2": joined(RoundRobinPartitionAssignor)})
    ours.on_assignment(dealt["m1"])
    assert ours.members == [Member("", [1, 3]), Member("http://a:1", [0, 2])]
    ours.on_assignment(SimpleNamespace(user_data=b""))
    assert ours.members == []
    ours.on_assignment(SimpleNamespace(user_data=b"\xff of another kind"))
    assert ours.members == []
