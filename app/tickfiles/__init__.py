"""Recorded ticks: reading them from files and sending them to the input topic."""
