"""Faust's aiokafka driver, changed to deliver slices of record batches instead of single messages."""
