"""The lock's assignor: one owner at most, which keeps the partition while it is a member."""

from __future__ import annotations

from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from migrations.run.lock import LockAssignor
from tests.support.examples import examples

PLACE = TopicPartition("t", 0)


class Group:
    """A group coordinator: its members, and rebalances."""

    def __init__(self) -> None:
        self.members: dict[str, LockAssignor] = {}
        self._ids = 0

    def join(self, member: LockAssignor) -> None:
        self._ids += 1
        self.members[f"id-{self._ids}"] = member

    def leave(self, member: LockAssignor) -> None:
        """Remove a member that was expelled or has left; it is not told."""
        self.members = {name: other for name, other in self.members.items() if other is not member}

    def rebalance(self, leader: int = 0) -> None:
        """Rebalance: all members join again, and the leader assigns."""
        if self.members:
            metadata = {name: member.metadata(["t"]) for name, member in self.members.items()}
            assignments = list(self.members.values())[leader % len(metadata)].assign(None, metadata)
            for name, member in self.members.items():
                member.on_assignment(assignments[name])

    @property
    def owners(self) -> list[LockAssignor]:
        return [member for member in self.members.values() if member.owned]


def test_the_owner_keeps_the_partition_while_others_join_and_leave() -> None:
    group, first, second = Group(), LockAssignor(PLACE), LockAssignor(PLACE)
    for move, member in ((group.join, first), (group.join, second), (group.leave, second)):
        move(member)
        group.rebalance()
        assert group.owners == [first]
        assert not first.lost


def test_an_expelled_member_returns_without_the_partition_even_if_nobody_else_wants_it() -> None:
    group, frozen = Group(), LockAssignor(PLACE)
    group.join(frozen)
    group.rebalance()
    group.leave(frozen)
    group.join(frozen)
    group.rebalance()
    assert frozen.lost
    assert group.owners == []
    other = LockAssignor(PLACE)
    group.join(other)
    group.rebalance()
    assert group.owners == [other]


MOVES = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "expel and back"]), st.integers(0, 4), st.integers(0, 4)), max_size=40
)


@given(MOVES)
@settings(max_examples=examples(check=50, full=200, thorough=200), deadline=None)
def test_there_is_never_more_than_one_owner_and_never_a_former_one(moves: list[tuple[str, int, int]]) -> None:
    group, everyone = Group(), [LockAssignor(PLACE) for _ in range(5)]
    owner: LockAssignor | None = None
    for move, number, leader in moves:
        member = everyone[number]
        inside = member in group.members.values()
        if inside and move != "join":
            group.leave(member)
        if inside == (move == "expel and back"):
            group.join(member)
        stayed = owner in group.members.values() and not (member is owner and inside)
        group.rebalance(leader)
        assert len(group.owners) <= 1
        assert not any(member.lost for member in group.owners)
        if stayed and owner is not None:
            assert group.owners == [owner]
        free = [other for other in group.members.values() if not other.lost]
        assert bool(group.owners) == bool(free) or any(member.lost for member in group.members.values())
        owner = group.owners[0] if group.owners else None
