"""Kafka clients, topics, record batches and the consumer group; nothing here knows about ticks or bars."""
