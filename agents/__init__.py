"""The tasks: one for each source partition, and the Faust agent and timer that drive them."""
