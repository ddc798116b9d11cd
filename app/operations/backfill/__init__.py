"""Computing a stretch of history once more, comparing it with what was published, and revising that."""
