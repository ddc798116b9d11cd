"""The settings: one class, and the types of its values."""

from app.settings.settings import DURATIONS, OPEN_DOOR, POCKET_PORT, PREFIX, Settings, unknown_variables

__all__ = ["DURATIONS", "OPEN_DOOR", "POCKET_PORT", "PREFIX", "Settings", "unknown_variables"]
