"""What is measured, each a program of its own: it prints `MARK <ticks>` as it goes, and nothing else."""
