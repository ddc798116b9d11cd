"""A stand-in for a ksqlDB server. Its HTTP, responses and catalog match recordings of a real one; it computes no rows."""
