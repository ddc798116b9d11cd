"""A name of a broker or a symbol as a segment of an address.

Browsers and HTTP clients take the segments `.` and `..` out of a path, `%2E` as well. These two names have a `|` in front
there, which no name holds. `segment` in `static/api.js` does the same. Any other name may have it, too: a dashboard makes paths
of names without knowing which they are.
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
    return decoded.removeprefix(MARK) if isinstance(decoded, str) else decoded
