"""Applying a plan: the lock, the history topic, the runner, and swaps."""
