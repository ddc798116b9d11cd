"""Floor: an aiokafka loop over ConsumerRecords that only decodes and folds."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.subjects.consumer import whole_topic
from benchmarks.subjects.fold import Folding, Marks


async def run(bootstrap: str, topic: str, total: int) -> None:
    """Read the whole topic once."""
    marks, folding = Marks(total), Folding()
    fold = folding.fold
    async with whole_topic(bootstrap, topic) as consumer:
        while marks.done < total:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    fold(record.key, record.value)
                marks.add(len(records))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
