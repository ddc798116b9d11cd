"""Print final bars with aiokafka.

Run: python examples/aiokafka_bars.py localhost:9092 bar_1m_final
"""

import asyncio
import json
import sys
from decimal import Decimal

from aiokafka import AIOKafkaConsumer


async def main(bootstrap: str, topic: str, count: int) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id="my-bars",
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # with delivery=transactional: no bar of a transaction that is aborted
        enable_auto_commit=False,
    )
    async with consumer:
        async for record in consumer:
            bar = json.loads(record.value, parse_float=Decimal)  # floats would round prices
            print(bar["broker"], bar["symbol"], bar["bucket_start"], bar["close"], bar["ticks"], flush=True)
            await consumer.commit()  # after the work: a crash repeats a bar, and loses none
            count -= 1
            if not count:
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else -1))
