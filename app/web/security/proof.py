"""How workers show each other that they have the web token, without sending it.

A worker learns the addresses of the others from the consumer group, and any member of that group can announce an address. The
token itself must not go there. A request to another worker carries an HMAC instead: of the address as it was announced, of path
and query, and of the time. It is of no use for another request, nor at another worker.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

SCHEME = "Barwheel-HMAC"
MAX_AGE_MS = 300_000  # more than clocks of one cluster differ


def proof(token: bytes, url: str, path: str, params: Mapping[str, str], now: int) -> str:
    """The Authorization header of a request to the worker that announced this address, at this time (epoch ms)."""
    return f"{SCHEME} {now}:{_digest(token, url, unquote(path), params.items(), str(now))}"


def is_proof(header: str, token: bytes, url: str, path: str, query: Iterable[tuple[str, str]], now: int) -> bool:
    """Whether an Authorization header proves the token. `url`: what this worker announces; `path` is without escapes."""
    scheme, _, text = header.partition(" ")
    at, _, digest = text.strip().partition(":")
    if scheme.lower() != SCHEME.lower() or not (at.isascii() and at.isdigit() and len(at) < 16):  # noqa: PLR2004 - epoch ms
        return False
    expected = _digest(token, url, path, query, at)
    return hmac.compare_digest(digest.encode(errors="replace"), expected.encode()) and abs(now - int(at)) <= MAX_AGE_MS


def _digest(token: bytes, url: str, path: str, query: Iterable[tuple[str, str]], at: str) -> str:
    parts = [url.rstrip("/"), path, at, *(text for pair in sorted(query) for text in pair)]
    message = b"".join(b"%d:%s" % (len(data), data) for data in (part.encode(errors="surrogateescape") for part in parts))
    return hmac.new(token, message, hashlib.sha256).hexdigest()
