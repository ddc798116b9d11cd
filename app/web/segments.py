"""A name of a broker or a symbol as a segment of an address.

Browsers and HTTP clients take the segments `.` and `..` out of a path, `%2E` as well. These two names have a `|` in front
there, which no name holds. `segment` in `static/api.js` does the same.
"""

from __future__ import annotations

from urllib.parse import quote

DOTS = (".", "..")
MARK = "|"


def segment(name: str) -> str:
    """A name as a segment."""
    return quote(MARK + name if name in DOTS else name, safe="")


def name_of(decoded: object) -> object:
    """The name that a decoded segment stands for; anything else as it is."""
    return decoded[1:] if isinstance(decoded, str) and decoded[:1] == MARK and decoded[1:] in DOTS else decoded
