"""ksqlDB and the worker: migrations at its start, the table of their history, and checks against ksqlDB's bars."""
