"""Schema Registry: its HTTP API, and the schemas of a topic by their ids."""
