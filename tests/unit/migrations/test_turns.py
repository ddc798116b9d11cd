"""Whose turn it is, as the members of a group tell each other."""

from __future__ import annotations

from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from migrations.lock import Turns
from tests.support.examples import examples

PLACE = TopicPartition("t", 0)


class Group:
    """A group's coordinator: who is in it, and rounds of joining."""

    def __init__(self) -> None:
        self.members: dict[str, Turns] = {}
        self._ids = 0

    def join(self, member: Turns) -> None:
        self._ids += 1
        self.members[f"id-{self._ids}"] = member

    def leave(self, member: Turns) -> None:
        """Expelled, or gone: nobody tells it."""
        self.members = {name: other for name, other in self.members.items() if other is not member}

    def settle(self, leader: int = 0) -> None:
        """Everyone joins again, one of them decides."""
        if self.members:
            said = {name: member.metadata(["t"]) for name, member in self.members.items()}
            decided = list(self.members.values())[leader % len(said)].assign(None, said)
            for name, member in self.members.items():
                member.on_assignment(decided[name])

    @property
    def owners(self) -> list[Turns]:
        return [member for member in self.members.values() if member.mine]


def test_who_has_it_keeps_it_while_others_come_and_go() -> None:
    group, first, second = Group(), Turns(PLACE), Turns(PLACE)
    for move, member in ((group.join, first), (group.join, second), (group.leave, second)):
        move(member)
        group.settle()
        assert group.owners == [first]
        assert not first.lost


def test_who_was_expelled_comes_back_without_it_even_where_nobody_else_wants_it() -> None:
    group, frozen = Group(), Turns(PLACE)
    group.join(frozen)
    group.settle()
    group.leave(frozen)
    group.join(frozen)
    group.settle()
    assert frozen.lost
    assert group.owners == []
    other = Turns(PLACE)
    group.join(other)
    group.settle()
    assert group.owners == [other]


MOVES = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "expel and back"]), st.integers(0, 4), st.integers(0, 4)), max_size=40
)


@given(MOVES)
@settings(max_examples=examples(check=50, full=200, thorough=200), deadline=None)
def test_there_is_never_more_than_one_and_never_a_former_one(moves: list[tuple[str, int, int]]) -> None:
    group, everyone = Group(), [Turns(PLACE) for _ in range(5)]
    owner: Turns | None = None
    for move, number, leader in moves:
        member = everyone[number]
        inside = member in group.members.values()
        if inside and move != "join":
            group.leave(member)
        if inside == (move == "expel and back"):
            group.join(member)
        stayed = owner in group.members.values() and not (member is owner and inside)
        group.settle(leader)
        assert len(group.owners) <= 1
        assert not any(found.lost for found in group.owners)
        if stayed and owner is not None:
            assert group.owners == [owner]
        free = [found for found in group.members.values() if not found.lost]
        assert bool(group.owners) == bool(free) or any(found.lost for found in group.members.values())
        owner = group.owners[0] if group.owners else None
