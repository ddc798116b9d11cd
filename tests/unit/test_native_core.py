"""Both cores give the same bytes: on hostile random logs, on spoilt batches, and where one goes on from the other's state.

`python -m tests.compare_cores 100000` compares so many more logs.
"""

from __future__ import annotations

import random

import pytest

from app.kafka.partitioner import partition_of
from tables import native
from tables.config import EngineConfig
from tests.support.examples import examples
from tests.support.hostile_logs import T0
from tests.support.raw_batches import stored, with_crc

pytestmark = pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")

LOGS = examples(check=300, full=1_200, thorough=40_000)


@pytest.mark.parametrize("part", range(4))
def test_both_cores_give_the_same_bytes_and_refuse_the_same_batches(part: int) -> None:
    from tests.compare_cores import one  # noqa: PLC0415  # not where the core is not built

    for seed in range(part, LOGS, 4):
        one(seed)


@pytest.mark.parametrize("count", [-(1 << 31), -1, 0, 1, 3, (1 << 31) - 1])
def test_both_cores_take_the_same_of_a_batch_that_tells_a_wrong_number_of_records(count: int) -> None:
    from tests.support.both_cores import compare  # noqa: PLC0415  # not where the core is not built

    batch = bytearray(stored([(b"A|x", b'{"ts":%d,"bid":1.5}' % (T0 + number), []) for number in range(2)], 0, T0))
    batch[57:61] = count.to_bytes(4, signed=True)
    compare(EngineConfig(), [(with_crc(batch), 0, T0, 0)])


def test_both_cores_read_the_same_of_mutated_values() -> None:
    from tests.fuzz_native import values  # noqa: PLC0415  # not where the core is not built

    for seed in range(LOGS):
        values(seed)


def test_both_cores_place_a_key_as_kafka_does() -> None:
    assert native.NATIVE is not None
    elsewhere_of = native.elsewhere(native.NATIVE)
    assert elsewhere_of is not None
    pick = random.Random(7)
    keys = [pick.randbytes(size) for size in range(40) for _ in range(20)]
    for partitions in (1, 3, 64, 1 << 20):
        partition = partition_of(keys[0], partitions)
        elsewhere = [key for key in keys if partition_of(key, partitions) != partition]
        assert elsewhere_of(keys, partition, partitions) == elsewhere
