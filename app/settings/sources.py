"""The topics that ticks come from: one name, or with `repartition=on` several names or a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.settings.types import topic_name

PATTERN_BEGINS = "^"
LONGEST_NAME = 249  # characters of a topic's name, in Kafka


@dataclass(frozen=True)
class Sources:
    """Topics by name, or those whose whole name matches a pattern."""

    names: tuple[str, ...]
    pattern: re.Pattern[str] | None = None

    @property
    def one(self) -> str | None:
        """The only topic; None where there are several, or a pattern."""
        return self.names[0] if len(self.names) == 1 else None

    def among(self, topics: Iterable[str]) -> list[str]:
        """Those of these topics that are sources, sorted."""
        if self.pattern is None:
            return sorted(set(self.names).intersection(topics))
        return sorted(name for name in topics if self.pattern.fullmatch(name))


def parse_sources(text: str) -> Sources:
    """Read `ticks`, `ticks-a,ticks-b` or `^ticks-.*`. Raises `ValueError` with one line."""
    if text.startswith(PATTERN_BEGINS):
        try:
            return Sources((), re.compile(text))
        except re.error as error:
            raise ValueError(f"ticks_topic={text}: not a regular expression ({error})") from None
    names = tuple(name.strip() for name in text.split(","))
    if names == ("",):
        raise ValueError("ticks_topic must not be empty")
    for name in names:
        try:
            topic_name(name)
        except ValueError as error:
            raise ValueError(f"ticks_topic={text}: the topic {name!r} {error}") from None
        if not name or len(name) > LONGEST_NAME:
            raise ValueError(f"ticks_topic={text}: each name has 1 to {LONGEST_NAME} characters")
    if len(set(names)) < len(names):
        raise ValueError(f"ticks_topic={text}: a topic is named twice")
    return Sources(names)
