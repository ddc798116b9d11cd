"""A stand-in for a ksqlDB server: its HTTP, its answers and its catalog as a real one was recorded; it computes nothing."""
