"""The states of a query that others are told apart from, as ksqlDB names them."""

RUNNING, PAUSED = "RUNNING", "PAUSED"
