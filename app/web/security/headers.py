"""The security headers of every response."""

from __future__ import annotations

from aiohttp import web

# the hash allows the one inline style that the chart library adds for its logo
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "barwheel",
}


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for aiohttp's `on_response_prepare`; it also covers event streams."""
    for name, value in HEADERS.items():
        response.headers[name] = value
