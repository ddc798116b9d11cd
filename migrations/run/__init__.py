"""Applying a plan: the history topic, the lock, the runner, swaps, and reports."""
