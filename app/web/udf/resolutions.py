"""Resolutions as UDF names them: `5` is five minutes, `10S` ten seconds, `1D` a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

SECOND_MS, MINUTE_MS, DAY_MS = 1_000, 60_000, 86_400_000
_ALIASES = {"D": "1D", "W": "1W", "M": "1M"}  # clients leave out the 1


class Served(NamedTuple):
    """The resolutions that are served, by kind: the fields of a symbol that say which bars need not be built of others."""

    all: tuple[str, ...]
    seconds: tuple[str, ...]
    minutes: tuple[str, ...]
    daily: bool
    weekly_and_monthly: bool


def resolution_of(size: int) -> str | None:
    """The resolution of windows of this size (ms); None if UDF has none, because its times are whole seconds."""
    if size == DAY_MS:
        return "1D"
    if not size % MINUTE_MS:
        return str(size // MINUTE_MS)
    return None if size % SECOND_MS else f"{size // SECOND_MS}S"


def canonical(text: str) -> str:
    """A resolution as a client sends it, in the form in which it is listed."""
    return _ALIASES.get(text, text)


def served(resolutions: Iterable[str]) -> Served:
    """Sort resolutions into their kinds."""
    every = tuple(resolutions)
    return Served(
        all=every,
        seconds=tuple(name.removesuffix("S") for name in every if name.endswith("S")),
        minutes=tuple(name for name in every if name.isdecimal()),
        daily="1D" in every,
        weekly_and_monthly="1W" in every or "1M" in every,
    )


def base_resolutions(window_size: int) -> Mapping[str, int]:
    """The sizes (ms) of the bars in the read model, by resolution."""
    name = resolution_of(window_size)
    return {} if name is None else {name: window_size}
