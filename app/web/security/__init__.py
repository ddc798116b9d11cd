"""Checks before each request (host, token, load) and the headers of each response."""
