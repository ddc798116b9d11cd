"""The embedded broker: Kafka's protocol on one node, for the first run, for tests and for laptops."""
