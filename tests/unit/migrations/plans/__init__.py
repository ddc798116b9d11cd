"""Plan files that tests read."""
