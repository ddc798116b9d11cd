"""A plan: its statements, read from files, and compared with what was applied and what the server has."""
