"""Server-sent events: what is sent, to whom, and how often."""
