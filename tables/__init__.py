"""The windowed tables and their rules. Pure: nothing here does I/O, reads a clock, or knows Kafka and Faust."""
