"""Print final bars with confluent-kafka.

Run: python examples/confluent_bars.py localhost:9092 bar_1m_final
"""

import json
import sys
from decimal import Decimal

from confluent_kafka import Consumer, KafkaException


def main(bootstrap: str, topic: str, count: int) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "my-bars-too",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    try:
        while count:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            bar = json.loads(message.value(), parse_float=Decimal)
            print(bar["broker"], bar["symbol"], bar["bucket_start"], bar["close"], bar["ticks"], flush=True)
            consumer.commit(message)
            count -= 1
    finally:
        consumer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else -1)
