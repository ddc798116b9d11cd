"""Text from outside, made safe for a terminal: names, keys and values of ticks may hold any character."""

from __future__ import annotations

import re
import unicodedata

# C0 and C1 without tab and newline; what turns the direction of text, and so could make 12 of 21
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    r"""The text with `\x1b` and the like in place of characters that a terminal would obey instead of showing.

    Everything that is printed to people passes through here: the console of `app/display.py`, `app/stderr.py`, and `out` of
    the commands.
    """
    return _UNSAFE.sub(_escaped, text)


def visible(name: str) -> str:
    """A name as `plain` has it; escaped as a whole if no character of it is seen. `app/web/static/names.js` does the same."""
    if all(one.isspace() or unicodedata.category(one) in {"Cc", "Cf"} for one in name):
        return "".join(_escape(one) for one in name)
    return plain(name)


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def _escape(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - two digits are enough
