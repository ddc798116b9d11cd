"""A stand-in for a ksqlDB server: its HTTP, its answers and its catalogue as a real one was recorded; it computes nothing."""
