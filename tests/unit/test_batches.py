"""Records are packed into the same batches as by aiokafka's own `append`, whatever builds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record import MemoryRecords

from app.kafka.batches import ENCODERS, BuiltBatch, Outgoing, batch_of, pack
from tables import native

SIZE = 1_000
RECORDS: list[Outgoing] = [
    *((b"k%d" % n, b"v" * n, 1_399_248_000_000 + n, [("app", b"a")] if n % 2 else []) for n in range(100)),
    (b"deleted", None, 1_399_248_000_000, []),
    (b"large", b"x" * 3 * SIZE, 1_399_248_000_000, []),
    (b"small", b"x", 1_399_248_000_000, []),
    (None, b"", 1_399_247_000_000, [("app", b"a"), ("größe", b"")]),
]
NewBatch = Callable[[int, bool], Any]


def of_aiokafka(codec: int, transactional: bool) -> BatchBuilder:  # noqa: FBT001  # as `NewBatch`
    return BatchBuilder(SIZE, codec, is_transactional=transactional)


def of_the_native_core(codec: int, transactional: bool) -> BuiltBatch:  # noqa: FBT001  # as `NewBatch`
    return BuiltBatch(native.batch_builder("auto")(SIZE, codec, ENCODERS.get(codec), transactional))


is_built = pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")
BUILDERS = [of_aiokafka, pytest.param(of_the_native_core, marks=is_built)]


def sent(batches: Iterator[Any], *, transactional: bool) -> list[tuple[int, bytes]]:
    """Count and bytes of each batch, as a producer sends it."""
    found = []
    for number, batch in enumerate(batches):
        if transactional:
            batch._set_producer_state(1 << 40, number, 17 * number)
        found.append((batch.record_count(), bytes(batch._build())))
    return found


def appended(records: list[Outgoing], codec: int, *, transactional: bool) -> list[tuple[int, bytes]]:
    batches = [of_aiokafka(codec, transactional)]
    for key, value, timestamp, headers in records:
        if batches[-1].append(key=key, value=value, timestamp=timestamp, headers=headers) is None:
            batches.append(of_aiokafka(codec, transactional))
            batches[-1].append(key=key, value=value, timestamp=timestamp, headers=headers)
    return sent(iter(batches), transactional=transactional)


@pytest.mark.parametrize("new_batch", BUILDERS)
@pytest.mark.parametrize("count", [1, 2, 50, len(RECORDS)])
@pytest.mark.parametrize("codec", [0, *ENCODERS])
@pytest.mark.parametrize("transactional", [False, True])
def test_the_batches_are_those_of_aiokafkas_own_append(
    new_batch: NewBatch, count: int, codec: int, *, transactional: bool
) -> None:
    records = RECORDS[-count:]
    packed = sent(pack(lambda: new_batch(codec, transactional), records), transactional=transactional)
    assert packed == appended(records, codec, transactional=transactional)


class Alphabet:
    """A run of records."""

    def __init__(self) -> None:
        self.left = [(bytes([letter]), b"x" * 90, 1_399_248_000_000, [("app", b"a")]) for letter in range(97, 123)]

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(self.left)

    def write_into(self, builder: Any) -> bool:
        while self.left:
            key, value, timestamp, headers = self.left[0]
            if not builder.append(timestamp, key, value, headers):
                return False
            del self.left[0]
        return True


@pytest.mark.parametrize("new_batch", BUILDERS)
def test_a_run_of_records_goes_on_in_the_next_batch(new_batch: NewBatch) -> None:
    before, after = RECORDS[:20], RECORDS[-2:]
    packed = sent(pack(lambda: new_batch(0, False), [*before, Alphabet(), *after]), transactional=False)
    assert packed == appended([*before, *Alphabet(), *after], 0, transactional=False)
    assert sum(count for count, _ in packed) == 20 + 26 + 2


@pytest.mark.parametrize("new_batch", BUILDERS)
def test_all_batches_are_closed_but_the_last_one_where_it_lingers(new_batch: NewBatch) -> None:
    assert all(batch.closed() for batch in pack(lambda: new_batch(0, False), RECORDS))
    *others, last = pack(lambda: new_batch(0, False), RECORDS, close_last=False)
    assert all(batch.closed() for batch in others)
    assert not last.closed()


@pytest.mark.parametrize("new_batch", BUILDERS)
def test_a_record_without_a_timestamp_gets_the_present_time(new_batch: NewBatch) -> None:
    before = time.time_ns() // 1_000_000
    (batch,) = pack(lambda: new_batch(0, False), [(b"k", None, None, [("app", b"a")])])
    ((key, value, timestamp, headers),) = [
        (record.key, record.value, record.timestamp, record.headers)
        for record in MemoryRecords(bytes(batch._build())).next_batch()
    ]
    assert (key, value, list(headers)) == (b"k", None, [("app", b"a")])
    assert before <= timestamp <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("new_batch", BUILDERS)
def test_no_records_make_no_batch(new_batch: NewBatch) -> None:
    assert list(pack(lambda: new_batch(0, False), [])) == []


@is_built
@pytest.mark.parametrize("codec", [0, *ENCODERS])
def test_a_full_batch_is_compressed_at_once_and_takes_no_more_records(codec: int) -> None:
    asked: list[int] = []

    def compress(records: bytes) -> bytes:
        asked.append(len(records))
        return bytes(ENCODERS[codec](records))

    batch = BuiltBatch(native.batch_builder("auto")(1 << 20, codec, compress if codec else None, False))
    (packed,) = pack(lambda: batch, RECORDS)
    assert asked == [packed.size() - 61] * bool(codec)  # without the header
    with pytest.raises(ValueError, match="closed"):
        packed._builder.append(0, b"k", b"v", [])
    assert sent(iter([packed]), transactional=False) == sent(
        pack(lambda: BatchBuilder(1 << 20, codec), RECORDS), transactional=False
    )
    assert len(asked) == bool(codec)
    assert packed._build() is packed._build(), "a batch that was refused is sent again"
    packed.close()


@is_built
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("options", [{}, {"enable_idempotence": True}, {"transactional_id": "t"}], ids=str)
async def test_a_producer_gives_both_builders_its_codec_and_its_transactions(options: Any, codec: str | None) -> None:
    producer = AIOKafkaProducer(compression_type=codec, **options)  # it does not connect
    transactional = "transactional_id" in options
    theirs, ours = [
        sent(pack(lambda: batch_of(producer, SIZE, builder), RECORDS), transactional=transactional)  # noqa: B023  # used at once
        for builder in (None, native.batch_builder("auto"))
    ]
    assert ours == theirs
    assert {bool(int.from_bytes(batch[21:23]) & 0x10) for _, batch in ours} == {transactional}
    await producer.stop()
