"""Producer ids and transactions. Every step is in the journal before it is acknowledged, so a restart can finish it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from app.pocket.journal import Journal
from app.pocket.log import PartitionLog

PRODUCER_FENCED, INVALID_MAPPING, INVALID_STATE = 47, 49, 48
FIRST_PRODUCER = 1_000
FindLog = Callable[[str, int], PartitionLog | None]
Row = dict[str, Any]


class Transactions:
    """The transactions by transactional id: producer, epoch, state, partitions and offsets."""

    def __init__(self, journal: Journal, find: FindLog, commit_offsets: Callable[[str, Row], None]) -> None:
        self._journal = journal
        self._find = find
        self._commit_offsets = commit_offsets
        self._rows: dict[str, Row] = journal.table("transaction")
        self._began: dict[str, float] = {}  # time of the monotonic clock
        self.epochs: dict[int, int] = {row["producer"]: row["epoch"] for row in self._rows.values()}
        self._next = int(journal.table("producer").get("next", FIRST_PRODUCER))

    def resume(self) -> None:
        """After a restart: finish transactions that were ending. Open ones go on, or time out."""
        for name, row in list(self._rows.items()):
            if row["state"] in ("commit", "abort"):
                self._finish(name, row)
            elif row["state"] == "open":
                self._began[name] = time.monotonic()

    def known(self, producer: int) -> bool:
        """Whether this broker has assigned the producer id."""
        return FIRST_PRODUCER <= producer < self._next

    def init(self, name: str | None, timeout_ms: int) -> Row:
        """InitProducerId: a new producer id; for a known transactional id the next epoch, which fences the former producer."""
        if name is None:
            return {"error_code": 0, "producer_id": self._new_producer(), "producer_epoch": 0}
        row = self._rows.get(name)
        if row is not None and row["state"] != "empty":
            self.end(name, commit=row["state"] == "commit")
            row = self._rows.get(name)
        producer, epoch = (self._new_producer(), 0) if row is None else (row["producer"], row["epoch"] + 1)
        fresh: Row = {"producer": producer, "epoch": epoch, "state": "empty", "timeout": timeout_ms, "parts": [], "offsets": {}}
        self._put(name, fresh)
        return {"error_code": 0, "producer_id": producer, "producer_epoch": epoch}

    def _new_producer(self) -> int:
        producer, self._next = self._next, self._next + 1
        self._journal.put("producer", "next", self._next)
        return producer

    def check(self, request: Row) -> int:
        """Check producer id and epoch of a request; returns an error code."""
        row = self._rows.get(request["transactional_id"])
        if row is None or row["producer"] != request["producer_id"]:
            return INVALID_MAPPING
        return PRODUCER_FENCED if row["epoch"] != request["producer_epoch"] else 0

    def add_partitions(self, name: str, partitions: list[tuple[str, int]]) -> None:
        """AddPartitionsToTxn; begins the transaction if none is open."""
        row = self._opened(name)
        parts = [list(part) for part in dict.fromkeys([*map(tuple, row["parts"]), *partitions])]
        self._put(name, row | {"parts": parts})

    def add_offsets(self, name: str, group: str) -> None:
        """AddOffsetsToTxn; begins the transaction if none is open."""
        row = self._opened(name)
        self._put(name, row | {"offsets": {group: {}, **row["offsets"]}})

    def add_pending_offsets(self, name: str, group: str, offsets: Row) -> None:
        """TxnOffsetCommit: offsets that take effect when the transaction is committed."""
        row = self._opened(name)
        pending = {**row["offsets"], group: {**row["offsets"].get(group, {}), **offsets}}
        self._put(name, row | {"offsets": pending})

    def _opened(self, name: str) -> Row:
        row = self._rows[name]
        if row["state"] != "open":
            self._began[name] = time.monotonic()
            row = row | {"state": "open", "parts": [], "offsets": {}}
        return row

    def accepts(self, producer: int, topic: str, partition: int) -> bool:
        """Whether the producer has an open transaction that includes this partition."""
        for row in self._rows.values():
            if row["producer"] == producer:
                return row["state"] == "open" and [topic, partition] in row["parts"]
        return False

    def end(self, name: str, *, commit: bool) -> int:
        """EndTxn; returns an error code."""
        row = self._rows[name]
        wanted = "commit" if commit else "abort"
        if row["state"] == "open":
            row = row | {"state": wanted}
            self._put(name, row)
        elif row["state"] != wanted:
            return 0 if row["state"] == "empty" else INVALID_STATE
        self._finish(name, row)  # also if it could not be finished before because the disk was full
        return 0

    def _finish(self, name: str, row: Row) -> None:
        for topic, partition in row["parts"]:
            log = self._find(topic, partition)
            if log is not None and row["producer"] in log.ongoing:
                log.append_marker(row["producer"], row["epoch"], commit=row["state"] == "commit")
        if row["state"] == "commit":
            for group, offsets in row["offsets"].items():
                self._commit_offsets(group, offsets)
        self._began.pop(name, None)
        self._put(name, row | {"state": "empty", "parts": [], "offsets": {}})

    def tick(self) -> None:
        """Abort transactions that are open for longer than their timeout, and fence their producers."""
        now = time.monotonic()
        for name, began in list(self._began.items()):
            row = self._rows[name]
            if now - began > row["timeout"] / 1_000:
                self.end(name, commit=False)
                self._put(name, self._rows[name] | {"epoch": row["epoch"] + 1})

    def _put(self, name: str, row: Row) -> None:
        self._journal.put("transaction", name, row)
        self.epochs[row["producer"]] = row["epoch"]
