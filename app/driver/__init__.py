"""Faust's aiokafka driver, which hands on slices of record batches instead of messages."""
