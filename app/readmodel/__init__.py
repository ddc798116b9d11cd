"""The read model: final bars of all partitions, late and rejected records, in a local SQLite database for the web port."""
