"""The subjects: one program each. It prints `MARK <ticks>` as it proceeds, and nothing else."""
