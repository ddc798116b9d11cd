"""The requests Produce, Fetch and ListOffsets."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import defaultdict
from typing import Any

from app.pocket.batch import MAGIC, BatchHeader, crc_is_right, read_header
from app.pocket.log import PartitionLog
from app.pocket.topics import STORAGE, UNKNOWN_TOPIC, Topics
from app.pocket.transactions import INVALID_STATE, PRODUCER_FENCED, Transactions
from app.pocket.wire import Body

OUT_OF_RANGE, CORRUPT, TOO_LARGE, OUT_OF_ORDER, UNKNOWN_PRODUCER, OLD_FORMAT = 1, 2, 10, 45, 59, 43
FENCED_EPOCH, UNKNOWN_EPOCH, INVALID_RECORD = 74, 75, 87
SEQUENCES = 1 << 31
LATEST, EARLIEST = -1, -2
READ_COMMITTED = 1
MAX_RESPONSE = 64 << 20
logger = logging.getLogger("pocket")


def by_topic(rows: list[tuple[str, Any]], inner: str = "partitions") -> list[Body]:
    """Group rows of (topic, response of a partition) by topic, as the protocol nests them."""
    topics: defaultdict[str, list[Any]] = defaultdict(list)
    for topic, row in rows:
        topics[topic].append(row)
    return [{"topic": name, "topics": name, "name": name, inner: parts} for name, parts in topics.items()]


class Data:
    """Handlers of the requests that carry records."""

    def __init__(self, topics: Topics, transactions: Transactions) -> None:
        self._topics = topics
        self._transactions = transactions
        self._failing: set[PartitionLog] = set()  # logs whose last append failed; the error is logged once

    # ---- produce

    def produce(self, request: Body) -> Body | None:
        """Produce (key 0). With acks=0 there is no response."""
        rows = []
        for topic in request["topics"]:
            name = topic["topic"]
            for part in topic["partitions"]:
                number = part["partition"]
                log = self._topics.find(name, number)
                error, offset, stamp = UNKNOWN_TOPIC, -1, -1
                if log is not None:
                    error, offset, stamp = self._append(log, name, number, bytearray(part["messages"] or b""))
                    if not error:
                        self._topics.wake(name, number)
                answer = {"partition": number, "error_code": error, "offset": offset, "timestamp": stamp}
                rows.append((name, answer | {"log_start_offset": log.start if log is not None else -1}))
        return {"topics": by_topic(rows)} if request["required_acks"] else None

    def _append(self, log: PartitionLog, name: str, number: int, data: bytearray) -> tuple[int, int, int]:
        """Append the batches of one request: error code, base offset, and append time (epoch ms, -1 with CreateTime)."""
        at, first = 0, -1
        append_time = self._topics.config(name, "message.timestamp.type") == "LogAppendTime"
        largest = int(self._topics.config(name, "max.message.bytes"))
        while at < len(data):
            try:
                header = read_header(data, at)
            except struct.error:
                return CORRUPT, -1, -1
            raw = data[at : at + header.size]
            at += max(header.size, 1)
            error, repeated = self._check(log, name, number, header, raw, largest)
            if error:
                return error, -1, -1
            if repeated is None:
                try:
                    base = log.append(raw, header, append_time=append_time)
                except OSError as failure:
                    if log not in self._failing:
                        logger.error("%s[%d] takes no records: %s", name, number, failure)  # noqa: TRY400  # a full disk needs no traceback
                    self._failing.add(log)
                    return STORAGE, -1, -1
                self._failing.discard(log)
            else:
                base = repeated
            first = base if first < 0 else first
        return 0, first, log.last_append if append_time else -1

    def _check(  # noqa: PLR0911  # one return for each reason
        self, log: PartitionLog, name: str, number: int, header: BatchHeader, raw: bytearray, largest: int
    ) -> tuple[int, int | None]:
        """An error code; and the base offset of the same batch if it was appended before."""
        if header.magic != MAGIC:
            return OLD_FORMAT, None
        if header.size != len(raw) or not crc_is_right(raw):
            return CORRUPT, None
        if header.control or header.records < 1 or header.last_delta != header.records - 1:
            return INVALID_RECORD, None  # only the broker writes markers, and the offsets depend on these numbers
        if len(raw) > largest:
            return TOO_LARGE, None
        if header.producer < 0:
            return 0, None
        if not self._transactions.known(header.producer):
            return UNKNOWN_PRODUCER, None
        if header.epoch < self._transactions.epochs.get(header.producer, 0):
            return PRODUCER_FENCED, None
        if header.transactional and not self._transactions.accepts(header.producer, name, number):
            return INVALID_STATE, None
        return self._check_sequence(log, header)

    def _check_sequence(self, log: PartitionLog, header: BatchHeader) -> tuple[int, int | None]:
        state = log.producers.get(header.producer)
        if state is None or not state.batches:
            return 0, None  # the producer's first batch here, or its former ones have been deleted
        if state.epoch != header.epoch:
            return (0, None) if header.sequence == 0 else (OUT_OF_ORDER, None)
        for sequence, last, offset in state.batches:
            if sequence == header.sequence and last == (sequence + header.records - 1) % SEQUENCES:
                return 0, offset
        expected = (state.batches[-1][1] + 1) % SEQUENCES
        return (0, None) if header.sequence == expected else (OUT_OF_ORDER, None)

    # ---- fetch

    async def fetch(self, request: Body) -> Body:
        """Fetch (key 1). Responds when it has `min_bytes`, when a partition has an error, or after `max_wait_time`."""
        until = time.monotonic() + request["max_wait_time"] / 1_000
        wanted = [
            (topic["topic"], part["partition"], part.get("fetch_offset", part.get("offset")), part["max_bytes"])
            for topic in request["topics"]
            for part in topic["partitions"]
        ]
        while True:
            rows, size, failed = self._read(request, wanted)
            left = until - time.monotonic()
            if failed or size >= max(1, request["min_bytes"]) or left <= 0:
                return {"topics": by_topic(rows), "session_id": 0, "error_code": 0}
            await self._wait(wanted, left)

    def _read(self, request: Body, wanted: list[tuple[str, int, int, int]]) -> tuple[list[tuple[str, Body]], int, bool]:
        committed = request.get("isolation_level") == READ_COMMITTED
        budget, size, failed = min(request.get("max_bytes") or MAX_RESPONSE, MAX_RESPONSE), 0, False
        rows: list[tuple[str, Body]] = []
        for name, number, offset, partition_max in wanted:
            log = self._topics.find(name, number)
            row: Body = {"partition": number, "error_code": 0, "message_set": b"", "preferred_read_replica": -1}
            if log is None:
                row |= {"error_code": UNKNOWN_TOPIC, "highwater_offset": -1, "last_stable_offset": -1, "log_start_offset": -1}
                failed = True
            else:
                row |= {"highwater_offset": log.end, "last_stable_offset": log.stable_end, "log_start_offset": log.start}
                if not log.start <= offset <= log.end:
                    row["error_code"] = OUT_OF_RANGE
                    failed = True
                elif offset < log.end and (size < budget or not size):
                    end = log.stable_end if committed else log.end
                    data = log.read(offset, min(partition_max, budget - size), end)
                    size += len(data)
                    row["message_set"] = data
                    if committed and data:
                        pairs = log.aborted_from(offset)
                        row["aborted_transactions"] = [{"producer_id": p, "first_offset": f} for p, f in pairs]
            rows.append((name, row))
        return rows, size, failed

    async def _wait(self, wanted: list[tuple[str, int, int, int]], seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keys = [(name, number) for name, number, _, _ in wanted]
        for key in keys:
            self._topics.waiting.setdefault(key, set()).add(future)
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            for key in keys:
                self._topics.waiting.get(key, set()).discard(future)

    # ---- offsets by time

    def list_offsets(self, request: Body) -> Body:
        """ListOffsets (key 2)."""
        committed = request.get("isolation_level") == READ_COMMITTED
        rows = []
        for topic in request["topics"]:
            for part in topic["partitions"]:
                log, wanted = self._topics.find(topic["topic"], part["partition"]), part["timestamp"]
                row: Body = {"partition": part["partition"], "error_code": 0, "timestamp": -1, "offset": -1, "leader_epoch": -1}
                if log is None:
                    row["error_code"] = UNKNOWN_TOPIC
                elif wanted == LATEST:
                    row["offset"] = log.stable_end if committed else log.end
                elif wanted == EARLIEST:
                    row["offset"] = log.start
                elif (first := log.offset_for_time(wanted)) is not None:
                    row["offset"], row["timestamp"] = first
                rows.append((topic["topic"], row))
        return {"topics": by_topic(rows)}

    # ---- offsets by leader epoch

    def offset_for_leader_epoch(self, request: Body) -> Body:
        """OffsetForLeaderEpoch (key 23): where the batches of an epoch, and of those before it, end."""
        rows = []
        for topic in request["topics"]:
            for part in topic["partitions"]:
                log = self._topics.find(topic["topic"], part["partition"])
                row: Body = {"partition": part["partition"], "error_code": 0, "leader_epoch": -1, "end_offset": -1}
                if log is None:
                    row["error_code"] = UNKNOWN_TOPIC
                elif error := _leader_error(part["current_leader_epoch"], log.leader_epochs.latest):
                    row["error_code"] = error
                else:
                    row["leader_epoch"], row["end_offset"] = log.leader_epochs.end_of(part["leader_epoch"], log.end)
                rows.append((topic["topic"], row))
        return {"topics": by_topic(rows)}


def _leader_error(known: int, latest: int) -> int:
    """An error code where the client knows an older leader, or a newer one; -1 if it does not say which it knows."""
    return 0 if known in (-1, latest) else FENCED_EPOCH if known < latest else UNKNOWN_EPOCH
