"""Consumer groups: eager rebalances, static members, session timeouts. Members are kept in memory only.

The states are Kafka's: Empty, PreparingRebalance (the members must join again), CompletingRebalance (the leader assigns the
partitions), Stable.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

UNKNOWN_MEMBER, ILLEGAL_GENERATION, REBALANCING, FENCED_INSTANCE, NO_COMMON_PROTOCOL = 25, 22, 27, 82, 23
INVALID_SESSION_TIMEOUT = 26
SHORTEST_SESSION_MS, LONGEST_SESSION_MS = 1_000, 1_800_000  # Kafka's shortest is 6,000: a demo may be quicker
Answer = dict[str, Any]


@dataclass
class Member:
    """A member of a group. Times are seconds, of the monotonic clock."""

    id: str
    instance: str | None
    client: str
    host: str
    session: float  # session timeout
    rebalance: float  # rebalance timeout
    protocols: list[tuple[str, bytes]]
    seen: float = field(default_factory=time.monotonic)  # its last request
    join: asyncio.Future[Answer] | None = None  # the JoinGroup request that waits for a response
    sync: asyncio.Future[tuple[int, bytes]] | None = None  # the SyncGroup request that waits for a response
    assignment: bytes = b""


class Group:
    """One consumer group."""

    def __init__(self, name: str, first_delay: float, generation: int, keep_generation: Callable[[int], None]) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        self.generation = generation
        self._keep_generation = keep_generation  # must not decrease: clients distinguish owners by it
        self.state = "Empty"
        self.protocol_type = ""
        self.protocol = ""
        self._leader = ""
        self._first_delay = first_delay  # of the first rebalance, so that members that start together take part in one
        self._deadline = self._hold = 0.0

    # ---- requests

    async def join(self, request: Answer, client: str, host: str) -> Answer:
        """JoinGroup. Responds when all members have joined the rebalance that it begins."""
        member_id, instance = request["member_id"], request.get("group_instance_id")
        protocols = [(p["protocol_name"], p["protocol_metadata"]) for p in request["group_protocols"]]
        if not SHORTEST_SESSION_MS <= request["session_timeout"] <= LONGEST_SESSION_MS:
            return {"error_code": INVALID_SESSION_TIMEOUT, "member_id": member_id}
        others = [m for m in self.members.values() if m.id != member_id]
        common = set.intersection({n for n, _ in protocols}, *({n for n, _ in m.protocols} for m in others))
        if not common:
            return {"error_code": NO_COMMON_PROTOCOL, "member_id": member_id}
        fresh = self.state == "Empty"
        if not member_id:
            member_id = f"{client}-{uuid.uuid4()}"
            former = self._remove_instance(instance)
            if former is not None and self.state == "Stable" and self.protocol in {name for name, _ in protocols}:
                return self._replace_member(former, member_id, protocols)
            session = request["session_timeout"] / 1_000
            rebalance = (request.get("rebalance_timeout") or request["session_timeout"]) / 1_000
            self.members[member_id] = Member(member_id, instance, client, host, session, rebalance, protocols)
        member = self.members.get(member_id)
        if member is None:
            return {"error_code": UNKNOWN_MEMBER, "member_id": member_id}
        member.protocols, member.seen = protocols, time.monotonic()
        self.protocol_type = request["protocol_type"]
        if member.join is not None and not member.join.done():
            member.join.set_result({"error_code": REBALANCING, "member_id": member_id})
        member.join = asyncio.get_running_loop().create_future()
        waiting = member.join
        self._rebalance(self._first_delay if fresh else 0.0)
        return await waiting

    def _remove_instance(self, instance: str | None) -> Member | None:
        """Remove and fence the former member with the same `group.instance.id`; returns it."""
        former = next((m for m in self.members.values() if instance and m.instance == instance), None)
        if former is not None:
            del self.members[former.id]
            if former.join is not None and not former.join.done():
                former.join.set_result({"error_code": FENCED_INSTANCE, "member_id": former.id})
            if former.sync is not None and not former.sync.done():
                former.sync.set_result((FENCED_INSTANCE, b""))
        return former

    def _replace_member(self, former: Member, member_id: str, protocols: list[tuple[str, bytes]]) -> Answer:
        """Replace a static member without a rebalance (KIP-345): the assignment stays.

        The response to a returning leader names its former id as leader, so that it fetches its assignment by SyncGroup.
        """
        leader = self._leader
        if leader == former.id:
            self._leader = member_id
        now = time.monotonic()
        self.members[member_id] = replace(former, id=member_id, protocols=protocols, seen=now, join=None, sync=None)
        return {
            "error_code": 0,
            "generation_id": self.generation,
            "group_protocol": self.protocol,
            "leader_id": leader,
            "member_id": member_id,
            "members": [],
        }

    async def sync(self, request: Answer) -> Answer:
        """SyncGroup. The leader sends the assignment, and every member gets its own part."""
        error = self._check(request)
        member = self.members.get(request["member_id"])
        if error or member is None:
            return {"error_code": error or UNKNOWN_MEMBER, "member_assignment": b""}
        if self.state == "Stable":
            return {"error_code": 0, "member_assignment": member.assignment}
        member.sync = asyncio.get_running_loop().create_future()
        waiting = member.sync
        if member.id == self._leader:
            for part in request["group_assignment"]:
                if part["member_id"] in self.members:
                    self.members[part["member_id"]].assignment = part["member_metadata"]
            self.state = "Stable"
            for other in self.members.values():
                if other.sync is not None and not other.sync.done():
                    other.sync.set_result((0, other.assignment))
        error, assignment = await waiting
        member.seen = time.monotonic()
        return {"error_code": error, "member_assignment": assignment}

    def heartbeat(self, request: Answer) -> int:
        """Heartbeat; returns an error code, REBALANCE_IN_PROGRESS if the member must join again."""
        return self._check(request)

    def leave(self, member_id: str) -> int:
        """LeaveGroup; returns an error code."""
        return 0 if self.remove(member_id) else UNKNOWN_MEMBER

    def may_commit(self, request: Answer) -> int:
        """Check an OffsetCommit; returns an error code.

        It is accepted from a member of this generation, or from a client outside the group while it has no members.
        """
        generation = request["consumer_group_generation_id"]
        if generation < 0 and not self.members:
            return 0
        member = self.members.get(request["consumer_id"])
        if member is None:
            return UNKNOWN_MEMBER
        member.seen = time.monotonic()
        if generation != self.generation:
            return ILLEGAL_GENERATION
        return REBALANCING if self.state == "CompletingRebalance" else 0

    def _check(self, request: Answer) -> int:
        member = self.members.get(request["member_id"])
        if member is None:
            return UNKNOWN_MEMBER
        member.seen = time.monotonic()
        if request["generation_id"] != self.generation:
            return ILLEGAL_GENERATION
        return REBALANCING if self.state == "PreparingRebalance" else 0

    # ---- rebalances

    def _rebalance(self, delay: float) -> None:
        for member in self.members.values():
            if member.sync is not None and not member.sync.done():
                member.sync.set_result((REBALANCING, b""))
            member.sync = None
        if self.state != "PreparingRebalance":
            now = time.monotonic()
            self.state = "PreparingRebalance"
            self._deadline = now + max((m.rebalance for m in self.members.values()), default=0.0)
            self._hold = now + delay
        self._complete_join()

    def _complete_join(self) -> None:
        """Complete the rebalance when all members have joined, or the rebalance timeout has passed."""
        now = time.monotonic()
        if self.state != "PreparingRebalance" or now < self._hold:
            return
        joined = [m for m in self.members.values() if m.join is not None]
        if len(joined) < len(self.members) and now < self._deadline:
            return
        self.members = {m.id: m for m in joined}
        self.generation += 1
        self._keep_generation(self.generation)
        if not joined:
            self.state = "Empty"
            return
        common = set.intersection(*({name for name, _ in m.protocols} for m in joined))
        self.protocol = next(name for name, _ in joined[0].protocols if name in common)
        if self._leader not in self.members:
            self._leader = joined[0].id
        self.state = "CompletingRebalance"
        rows = [
            {"member_id": m.id, "group_instance_id": m.instance, "member_metadata": dict(m.protocols)[self.protocol]}
            for m in joined
        ]
        for member in joined:
            waiting, member.join = member.join, None
            member.seen, member.assignment = now, b""
            if waiting is not None and not waiting.done():
                waiting.set_result(
                    {
                        "error_code": 0,
                        "generation_id": self.generation,
                        "group_protocol": self.protocol,
                        "leader_id": self._leader,
                        "member_id": member.id,
                        "members": rows if member.id == self._leader else [],
                    }
                )

    def remove(self, member_id: str) -> bool:
        """Remove a member and begin a rebalance; whether it was a member."""
        member = self.members.pop(member_id, None)
        if member is None:
            return False
        if member.join is not None and not member.join.done():
            member.join.set_result({"error_code": UNKNOWN_MEMBER, "member_id": member_id})
        if member.sync is not None and not member.sync.done():
            member.sync.set_result((UNKNOWN_MEMBER, b""))
        self._rebalance(0.0)
        return True

    def tick(self) -> None:
        """Remove members whose session timeout has passed, and complete a rebalance if that is possible now."""
        now = time.monotonic()
        for member in list(self.members.values()):
            if member.join is None and now - member.seen > member.session:
                self.remove(member.id)
        self._complete_join()
