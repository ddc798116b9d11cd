"""The requests of the group coordinator and the transaction coordinator."""

from __future__ import annotations

from functools import partial
from typing import Any

from app.pocket.data import by_topic
from app.pocket.groups import Group
from app.pocket.topics import UNKNOWN_TOPIC, Topics
from app.pocket.transactions import Transactions
from app.pocket.wire import Body

GROUP_NOT_EMPTY, GROUP_NOT_FOUND = 68, 69


class Coordinator:
    """Handlers of the requests on groups, committed offsets and transactions."""

    def __init__(self, topics: Topics, transactions: Transactions, first_delay: float) -> None:
        self._topics = topics
        self._transactions = transactions
        self._first_delay = first_delay
        self._groups: dict[str, Group] = {}
        self.host, self.port, self.node = "", 0, 1

    def tick(self) -> None:
        """Apply the timeouts of groups and transactions."""
        for group in list(self._groups.values()):
            group.tick()
        self._transactions.tick()

    def _group(self, name: str) -> Group:
        if not name or "\0" in name:  # the separator in the keys of the journal
            raise ValueError(f"group {name!r}: not a name")
        group = self._groups.get(name)
        if group is None:
            known = self._topics.generation(name)
            keep = partial(self._topics.keep_generation, name)
            group = self._groups[name] = Group(name, self._first_delay, known, keep)
        return group

    def find_coordinator(self, _: Body) -> Body:
        """FindCoordinator (key 10)."""
        return {"error_code": 0, "coordinator_id": self.node, "host": self.host, "port": self.port}

    # ---- groups

    async def join_group(self, request: Body) -> Body:
        """JoinGroup (key 11)."""
        return await self._group(request["group"]).join(request, request["_client"], request["_host"])

    async def sync_group(self, request: Body) -> Body:
        """SyncGroup (key 14)."""
        return await self._group(request["group"]).sync(request)

    def heartbeat(self, request: Body) -> Body:
        """Heartbeat (key 12)."""
        return {"error_code": self._group(request["group"]).heartbeat(request)}

    def leave_group(self, request: Body) -> Body:
        """LeaveGroup (key 13)."""
        return {"error_code": self._group(request["group"]).leave(request["member_id"])}

    def list_groups(self, _: Body) -> Body:
        """ListGroups (key 16)."""
        names = sorted(set(self._groups) | self._topics.groups())
        return {"groups": [{"group": name, "protocol_type": self._group(name).protocol_type} for name in names]}

    def describe_groups(self, request: Body) -> Body:
        """DescribeGroups (key 15)."""
        rows = []
        for name in request["groups"]:
            group = self._groups.get(name)
            members = [
                {
                    "member_id": m.id,
                    "client_id": m.client,
                    "client_host": m.host,
                    "member_metadata": b"",
                    "member_assignment": m.assignment,
                }
                for m in (group.members.values() if group else ())
            ]
            row = {"error_code": 0, "group": name, "members": members, "state": group.state if group else "Dead"}
            row |= {"protocol_type": group.protocol_type if group else "", "protocol": group.protocol if group else ""}
            rows.append(row)
        return {"groups": rows}

    def delete_groups(self, request: Body) -> Body:
        """DeleteGroups (key 42)."""
        rows = []
        for name in request["groups_names"]:
            group = self._groups.get(name)
            known = group is not None or name in self._topics.groups()
            error = GROUP_NOT_FOUND if not known else GROUP_NOT_EMPTY if group is not None and group.members else 0
            if not error:
                self._groups.pop(name, None)
                self._topics.forget_group(name)
            rows.append({"group_id": name, "error_code": error})
        return {"results": rows}

    # ---- offsets

    def commit_offsets(self, request: Body) -> Body:
        """OffsetCommit (key 8)."""
        name = request["consumer_group"]
        error = self._group(name).may_commit(request)
        rows = []
        for topic in request["topics"]:
            for part in topic["partitions"]:
                code = error or self._known(topic["topic"], part["partition"])
                if not code:
                    self._topics.commit(name, topic["topic"], part["partition"], part["offset"], part["metadata"] or "")
                rows.append((topic["topic"], {"partition": part["partition"], "error_code": code}))
        return {"topics": by_topic(rows)}

    def _known(self, topic: str, partition: int) -> int:
        return UNKNOWN_TOPIC if self._topics.find(topic, partition) is None else 0

    def fetch_offsets(self, request: Body) -> Body:
        """OffsetFetch (key 9)."""
        known = self._topics.committed(request["consumer_group"])
        wanted = request["topics"]
        keys = list(known) if wanted is None else [(t["topic"], n) for t in wanted for n in t["partitions"]]
        rows = []
        for topic, number in keys:
            offset, metadata = known.get((topic, number), (-1, ""))
            rows.append((topic, {"partition": number, "offset": offset, "metadata": metadata, "error_code": 0}))
        return {"topics": by_topic(rows), "error_code": 0}

    # ---- transactions

    def init_producer(self, request: Body) -> Body:
        """InitProducerId (key 22)."""
        return self._transactions.init(request["transactional_id"], request["transaction_timeout_ms"])

    def add_partitions(self, request: Body) -> Body:
        """AddPartitionsToTxn (key 24)."""
        error = self._transactions.check(request)
        parts = [(topic["topic"], number) for topic in request["topics"] for number in topic["partitions"]]
        if not error:
            self._transactions.add_partitions(request["transactional_id"], parts)
        return {"errors": by_topic([(t, {"partition": n, "error_code": error}) for t, n in parts], "partition_errors")}

    def add_offsets(self, request: Body) -> Body:
        """AddOffsetsToTxn (key 25)."""
        error = self._transactions.check(request)
        if not error:
            self._transactions.add_offsets(request["transactional_id"], self._group(request["group_id"]).name)
        return {"error_code": error}

    def commit_offsets_in_transaction(self, request: Body) -> Body:
        """TxnOffsetCommit (key 28)."""
        error = self._transactions.check(request)
        offsets: dict[str, Any] = {}
        rows = []
        for topic in request["topics"]:
            for part in topic["partitions"]:
                code = error or self._known(topic["topic"], part["partition"])
                if not code:
                    offsets[f"{topic['topic']}\0{part['partition']}"] = [part["offset"], part["metadata"] or ""]
                rows.append((topic["topic"], {"partition": part["partition"], "error_code": code}))
        if not error:
            self._transactions.add_pending_offsets(request["transactional_id"], self._group(request["group_id"]).name, offsets)
        return {"errors": by_topic(rows, "partition_errors")}

    def end_transaction(self, request: Body) -> Body:
        """EndTxn (key 26)."""
        error = self._transactions.check(request)
        if not error:
            error = self._transactions.end(request["transactional_id"], commit=bool(request["transaction_result"]))
        return {"error_code": error}
