"""The read model: a local SQLite copy of final bars, late and rejected records of all partitions, for the web port."""
