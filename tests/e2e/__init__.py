"""The whole of it on a real ksqlDB."""
