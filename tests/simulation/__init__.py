"""The worker's own checkpoints and recovery on topics in memory, with a crash after any record."""
