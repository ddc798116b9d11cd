"""Floor: the same loop over aiokafka's raw record batches, without a Python object for each record.

Written for aiokafka 0.14.0, whose fetcher it reaches into.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from benchmarks.subjects.consumer import whole_topic
from benchmarks.subjects.fold import Folding, Marks


class RawPartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """Yields whole batches; the topic holds neither control records nor transactions."""

    def _unpack_records(self) -> Iterator[Any]:
        records = self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"invalid CRC in {self._tp}")
            self.next_fetch_offset = batch.next_offset
            yield batch


async def run(bootstrap: str, topic: str, total: int) -> None:
    """Read the whole topic once."""
    fetcher.PartitionRecords = RawPartitionRecords
    marks, folding = Marks(total), Folding()
    fold = folding.fold
    async with whole_topic(bootstrap, topic) as consumer:
        while marks.done < total:
            for batches in (await consumer.getmany(timeout_ms=1_000)).values():
                for batch in batches:
                    for record in batch:
                        fold(record.key, record.value)
                    marks.add(batch.next_offset - batch.base_offset)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
