"""The engine: ticks in, final bars out. Pure: no Kafka, no Faust, no clock, no I/O."""
