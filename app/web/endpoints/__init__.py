"""The endpoints of the API: each function takes its parameters and returns its response."""
