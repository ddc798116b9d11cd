"""Records are packed as aiokafka's own builder packs them."""

from __future__ import annotations

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from app.kafka.batches import Outgoing, pack

SIZE = 1_000
RECORDS: list[Outgoing] = [
    *((b"k%d" % n, b"v" * n, 1_399_248_000_000 + n, [("app", b"a")] if n % 2 else []) for n in range(100)),
    (b"deleted", None, None, []),
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
def test_the_batches_are_those_of_aiokafkas_own_append(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_399_248_000.0)  # of the record without a timestamp
    records = RECORDS[-count:]
    packed = list(pack(new_batch, records))
    assert [(batch.record_count(), bytes(batch._build())) for batch in packed] == by_aiokafka(records)
    assert all(batch.append(key=b"k", value=b"v", timestamp=None) is None for batch in packed), "one that could still grow"


def test_no_records_make_no_batch() -> None:
    assert list(pack(new_batch, [])) == []
