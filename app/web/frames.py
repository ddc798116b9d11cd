"""The frames that requests may name: the window size, frames that the engine keeps, and others, which are folded from bars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app.settings import Settings
from app.web.errors import InvalidParametersError
from tables.calendar import DAY_MS, Calendar, Frame, frame_of, misfit

MAX_FOLDED = 50_000  # bars that one request folds
OFFERED = ("1m", "5m", "15m", "1h", "4h", "1d", "1w", "1M")  # by the page, beside those that are kept
_HOUR = 3_600_000
_LONGEST_DAYS = {1: 1, 2: 7, 3: 31}  # by rank; an hour more where the clock is set back


@dataclass(frozen=True)
class Chosen:
    """A frame that a request named. `frame` is None for the window size."""

    name: str  # of the frame if it is kept; empty for the window size
    text: str  # for people
    frame: Frame | None = None
    kept: bool = True
    source: str = ""  # of one that is not kept: the frame whose bars it is folded from; empty: the base bars


class Frames:
    """Those of one app."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._calendar = Calendar(settings.day_zone, settings.day_start_ms, settings.week_start_number)
        self._kept = [frame_of(name) for name in settings.frame_names]
        self.base = Chosen("", settings.size_text)
        self._outside = _first_misfit(settings)

    def choose(self, text: str | None) -> Chosen:
        """The frame that a request named; None is the window size. Raises `InvalidParametersError`."""
        if text is None:
            return self.base
        try:
            return self._find(text)
        except ValueError as error:
            raise InvalidParametersError(("frame", text, str(error))) from None

    def _find(self, text: str) -> Chosen:
        settings = self._settings
        if text == settings.size_text:
            return self.base
        frame = frame_of(text)
        if frame.size == settings.window_size:
            return self.base
        for kept in self._kept:
            if frame == kept or (frame.size and frame.size == kept.size):
                return Chosen(kept.name, kept.name, kept)
        size = settings.size_text
        if frame.rank == 0 and (frame.size < settings.window_size or frame.size % settings.window_size):
            raise ValueError(f"is no multiple of the window size {size}")
        if self._outside is not None:
            raise ValueError(f"cannot be made of windows of {size}: on {self._outside} the day begins inside one")
        source = max((kept for kept in self._kept if frame.is_union_of(kept)), default=None)
        most = _most_parts(frame, source, settings.window_size)
        if most > MAX_FOLDED:
            of = size if source is None else source.name
            raise ValueError(
                f"is not kept, and folding it takes up to {most:,} bars of {of}, of at most {MAX_FOLDED:,}: add it to frames"
            )
        return Chosen(frame.name, frame.name, frame, kept=False, source="" if source is None else source.name)

    def span(self, chosen: Chosen, time: int) -> tuple[int, int]:
        """The start and the end of the window of a frame that holds this time, epoch ms. Raises `InvalidParametersError`."""
        if chosen.frame is None:
            start = time - time % self._settings.window_size
            return start, start + self._settings.window_size
        try:
            return self._calendar.window(chosen.frame, time)
        except (OverflowError, ValueError):  # the last day that the calendar knows
            raise InvalidParametersError(("bucket_start", str(time), "is beyond the calendar")) from None

    def holding(self, start: int, end: int) -> list[tuple[str, int, int]]:
        """Name, start and end of each longer window that is kept and holds this one, shortest frame first."""
        found = [(frame.name, *self._calendar.window(frame, start)) for frame in self._kept]
        return [one for one in found if one[1] <= start and end <= one[2] and one[1:] != (start, end)]

    def offered(self) -> list[Chosen]:
        """What the page offers: the window size, and longer frames in their order."""
        names = {*OFFERED, *self._settings.frame_names}
        found: list[Chosen] = []
        for frame in sorted(map(frame_of, names)):
            try:
                chosen = self._find(frame.name)
            except ValueError:
                continue
            if chosen.frame is not None and chosen not in found:
                found.append(chosen)
        return [self.base, *found]


def _first_misfit(settings: Settings) -> date | None:
    """The first date on which a day begins inside a window; None if there is none. With `frames` the start has checked it."""
    size = settings.window_size
    if settings.day_zone == "UTC" and not settings.day_start_ms % size and not DAY_MS % size:
        return None
    return misfit(settings.day_zone, settings.day_start_ms, size, max(0, settings.min_ts))


def _most_parts(frame: Frame, source: Frame | None, window_size: int) -> int:
    """The most bars that a window of a frame may be folded from."""
    days = _LONGEST_DAYS.get(frame.rank)
    if source is not None and source.rank:
        return days or 1
    part = window_size if source is None else source.size
    if days is None:
        return -(-frame.size // part)
    cut = days if DAY_MS % part else 0  # the last part of each day may be cut
    return -(-(days * DAY_MS + _HOUR) // part) + cut
