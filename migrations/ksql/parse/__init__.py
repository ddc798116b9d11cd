"""KSQL text: its tokens, its statements, their normal form and hash."""
