"""The embedded broker: one node that speaks Kafka's protocol, for a first run, for tests and for laptops."""
