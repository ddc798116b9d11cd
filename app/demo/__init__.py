"""The demo, as a library: a synthetic market, the broker and worker it starts, a session, and its views."""
