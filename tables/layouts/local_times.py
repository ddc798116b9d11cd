"""Event times that a schema declares as local: a date and time without a time zone, counted as if it were UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tables.ticks import PER_SECOND, RejectedError

_MOST_KNOWN = 10_000  # minutes that are remembered


class LocalTimes:
    """Converts the local times of one zone. One that happens twice or never has the offset before the change."""

    def __init__(self, zone: ZoneInfo, unit: str, time_unit: str) -> None:
        """`unit`: of the local times. `time_unit`: of the result."""
        self._zone = zone
        self._have, self._want = PER_SECOND[unit], PER_SECOND[time_unit]
        self._offsets: dict[int, int] = {}  # in seconds, by minute

    def of(self, local: int) -> int:
        """The time in `time_unit`. Raises `RejectedError`."""
        minute = local // (60 * self._have)
        offset = self._offsets.get(minute)
        if offset is None:
            offset = self._offset(minute)
            if len(self._offsets) >= _MOST_KNOWN:
                self._offsets.clear()
            self._offsets[minute] = offset
        return (local - offset * self._have) * self._want // self._have

    def _offset(self, minute: int) -> int:
        try:
            time = datetime.fromtimestamp(minute * 60, UTC)
            offset = time.replace(tzinfo=self._zone).utcoffset()
        except (ValueError, OverflowError, OSError) as error:
            raise RejectedError("ts", f"ts: minute {minute} is no time ({error})") from None
        return 0 if offset is None else round(offset.total_seconds())
