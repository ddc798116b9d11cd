"""The responses of the API as types."""
