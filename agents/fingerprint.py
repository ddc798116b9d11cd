"""The settings that decide what a bar contains, as the position record holds them.

An app id cannot go on with other values than it began with. Each version may add settings. What an older version wrote lacks
them: `BEFORE` says which values they had then. A record of every format since 0.1.0 is in tests/unit/test_fingerprint.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import StateError
from app.settings import Settings

LAYOUT = ("ticks_format", "ticks_fields", "ticks_key", "ticks_zone", "ticks_time_unit", "prices")
LONGER = ("correction_horizon", "correction_delay", "frames", "day_zone", "day_start", "week_start", "empty", "empty_frames")
NAMES = ("window_size", "grace", "scope", "price", "time_unit", "late_policy", "ticks_topic", *LAYOUT, *LONGER)
# The settings that versions after 0.1.0 store, and what older versions used. None: they did not store what they used.
BEFORE: Mapping[str, str | None] = {
    "late_policy": "drop",
    "ticks_topic": None,
    "ticks_format": "json",
    "ticks_fields": "",
    "ticks_key": "{broker}|{symbol}",
    "ticks_zone": "",
    "ticks_time_unit": "",
    "prices": "positive",
    "correction_horizon": "10m",
    "correction_delay": "",
    "frames": "",
    "day_zone": "UTC",
    "day_start": "00:00",
    "week_start": "monday",
    "empty": "none",
    "empty_frames": "",
}


def fingerprint(settings: Settings, partitions: int) -> dict[str, str]:
    """The values of now. `partitions`: how many the input has.

    With `repartition=on` the engines' input is a topic of the app's own. Which topics are copied to it may change.
    """
    values = {name: settings.text_of(name) for name in NAMES}
    return {**values, "ticks_topic": settings.input_topic, "partitions": str(partitions)}


def check_fingerprint(where: str, stored: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Compare the values that a position holds with those of now. Raises `StateError` where they differ.

    `where` names the record's topic and partition. A key that an older version did not write counts as its value of then.
    """
    newer = sorted(stored.keys() - wanted.keys())
    if newer:
        raise StateError(
            f"{where} was written by a newer version, which knows the settings {', '.join(newer)}: "
            "start that version again, or use another app_id and topics_prefix"
        )
    differ = []
    for name, value in wanted.items():
        before = stored.get(name, BEFORE.get(name, ""))
        if before not in (None, value):
            differ.append(f"{name}={before} stored, {value} set")
    if differ:
        raise StateError(
            f"{where} was written with other settings ({'; '.join(differ)}): "
            "set them back, or use another app_id and topics_prefix"
        )
