"""Opaque text that says where a list goes on: what it says is nobody's business but ours, so it can change."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from app.web.errors import ParameterProblem


def to_cursor(*where: str | int) -> str:
    """Text for a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(where)).decode().rstrip("=")


def from_cursor(text: str, *kinds: type) -> tuple[Any, ...]:
    """What `to_cursor` was given, one value of each kind; raises `ParameterProblem` for anything else."""
    try:
        where = orjson.loads(base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if [type(value) for value in where] != list(kinds) or any(type(v) is int and abs(v) >= 1 << 62 for v in where):
            raise ValueError("other kinds")  # noqa: TRY301  # the same answer for all
    except (binascii.Error, ValueError, TypeError):
        raise ParameterProblem(("cursor", text, "is not the next_cursor of an earlier answer")) from None
    return tuple(where)
