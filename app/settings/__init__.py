"""The settings: one class, the types of its values, and the checks of their combinations."""

from app.settings.checks import OPEN_DOOR
from app.settings.settings import DURATIONS, POCKET_PORT, PREFIX, Settings, unknown_variables

__all__ = ["DURATIONS", "OPEN_DOOR", "POCKET_PORT", "PREFIX", "Settings", "unknown_variables"]
