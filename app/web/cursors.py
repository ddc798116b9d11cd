"""Cursors of paged lists: opaque URL-safe text that encodes where the next page starts."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from app.web.errors import InvalidParametersError


def encode_cursor(*position: str | int) -> str:
    """Encode a position as text for a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decode_cursor(text: str, *types: type) -> tuple[Any, ...]:
    """Decode a position, one value of each type; raises `InvalidParametersError` for any other text."""
    try:
        position = orjson.loads(base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if [type(value) for value in position] != list(types) or any(
            type(value) is int and abs(value) >= 1 << 62 for value in position
        ):
            raise ValueError("other types")  # noqa: TRY301  # handled below like undecodable text
    except (binascii.Error, ValueError, TypeError):
        raise InvalidParametersError(("cursor", text, "is not the next_cursor of an earlier response")) from None
    return tuple(position)
