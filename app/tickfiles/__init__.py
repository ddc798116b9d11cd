"""Reading recorded ticks."""
