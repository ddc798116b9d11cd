"""Print final bars in Avro (bars_format=avro) with confluent-kafka's own deserializer, which gets the schema from the registry.

Run: python examples/confluent_schema_bars.py localhost:9092 bar_1m_final http://localhost:8081
"""

import sys

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main(bootstrap: str, topic: str, registry: str, count: int) -> None:
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    context = SerializationContext(topic, MessageField.VALUE)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "my-avro-bars",
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
            bar = deserialize(message.value(), context)  # times are datetimes, numbers are Decimals
            start = round(bar["bucket_start"].timestamp() * 1_000)
            print(bar["broker"], bar["symbol"], start, bar["close"], bar["ticks"], flush=True)
            consumer.commit(message)
            count -= 1
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]) if len(sys.argv) > 4 else -1)
