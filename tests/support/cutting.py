"""A proxy in front of ksqlDB that cuts connections after the server has executed a statement."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def endpoint(url: str) -> tuple[str, int, bool]:
    """The host and port of an address, which may leave the port out, and whether TLS is spoken there."""
    server = urlsplit(url)
    return server.hostname or "", server.port or PORTS[server.scheme], server.scheme == "https"


@asynccontextmanager
async def cutting(url: str, left: list[int], trusted: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The proxy's address, for plain HTTP. It cuts the first `left[0]` connections that answer a statement, and counts down.

    A server with HTTPS must have a certificate that `trusted` trusts, or else this machine (see SSL_CERT_FILE).
    """
    host, port, secure = endpoint(url)
    context = (trusted or ssl.create_default_context()) if secure else None

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port, ssl=context)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool) -> None:
            while data := await source.read(65_536):
                if answers and left[0] and b"currentStatus" in data:
                    left[0] -= 1
                    break
                target.write(data)
                await target.drain()
            target.close()

        await asyncio.gather(copy(reader, back, answers=False), copy(there, writer, answers=True), return_exceptions=True)

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as way:
        yield f"http://127.0.0.1:{way.sockets[0].getsockname()[1]}{urlsplit(url).path}"
