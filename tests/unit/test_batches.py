"""Records are packed into the same batches as by aiokafka's own builder."""

from __future__ import annotations

import time

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record import MemoryRecords

from app.kafka.batches import Outgoing, pack

SIZE = 1_000
RECORDS: list[Outgoing] = [
    *((b"k%d" % n, b"v" * n, 1_399_248_000_000 + n, [("app", b"a")] if n % 2 else []) for n in range(100)),
    (b"deleted", None, 1_399_248_000_000, []),
    (b"large", b"x" * 3 * SIZE, 1_399_248_000_000, []),
    (b"small", b"x", 1_399_248_000_000, []),
]


def new_batch() -> BatchBuilder:
    return BatchBuilder(SIZE, 0, is_transactional=False)


def by_aiokafka(records: list[Outgoing]) -> list[tuple[int, bytes]]:
    batches = [new_batch()]
    for key, value, timestamp, headers in records:
        if batches[-1].append(key=key, value=value, timestamp=timestamp, headers=headers) is None:
            batches.append(new_batch())
            batches[-1].append(key=key, value=value, timestamp=timestamp, headers=headers)
    return [(batch.record_count(), bytes(batch._build())) for batch in batches]  # what would be sent


@pytest.mark.parametrize("count", [1, 2, 50, len(RECORDS)])
def test_the_batches_are_those_of_aiokafkas_own_append(count: int) -> None:
    records = RECORDS[-count:]
    packed = list(pack(new_batch, records))
    assert [(batch.record_count(), bytes(batch._build())) for batch in packed] == by_aiokafka(records)
    assert all(batch.append(key=b"k", value=b"v", timestamp=None) is None for batch in packed), "all are closed"


def test_a_record_without_a_timestamp_gets_the_present_time() -> None:
    before = time.time_ns() // 1_000_000
    (batch,) = pack(new_batch, [(b"k", None, None, [("app", b"a")])])
    ((key, value, timestamp, headers),) = [
        (record.key, record.value, record.timestamp, record.headers)
        for record in MemoryRecords(bytes(batch._build())).next_batch()
    ]
    assert (key, value, list(headers)) == (b"k", None, [("app", b"a")])
    assert before <= timestamp <= time.time_ns() // 1_000_000


def test_no_records_make_no_batch() -> None:
    assert list(pack(new_batch, [])) == []
