"""Bars in formats with a schema: Avro and Protobuf. JSON, the default, is in `tables.emission` and `tables.bars`."""
