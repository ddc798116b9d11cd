"""Reads Kafka's responses from a connection: the pieces of a response are joined once, when all of them are there.

Written for aiokafka 0.14.0, which reads by asyncio's `StreamReader`. That copies each piece into a buffer, and the response out
of it. It also pauses the connection again and again, because a response of ticks is larger than the reader's limit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from aiokafka import conn as conn_module

AIOKAFKA_VERSION = "0.14.0"


class ResponseReader(asyncio.StreamReader):
    """A stream reader whose only reading method is `readexactly`."""

    _pieces: deque[bytes | memoryview]
    _held: int  # bytes in them
    _wanted: int  # bytes that `readexactly` waits for
    # of the base class
    _eof: bool
    _limit: int
    _paused: bool
    _transport: asyncio.ReadTransport | None

    @classmethod
    def adopt(cls, reader: asyncio.StreamReader) -> None:
        """Make a reader that has read nothing yet one of these."""
        reader.__class__ = cls
        adopted: Any = reader
        adopted._pieces, adopted._held, adopted._wanted = deque(), 0, 0  # noqa: SLF001  # its own

    def feed_data(self, data: Any) -> None:
        """Take a piece from the connection."""
        if not data:
            return
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return
        self._wakeup_waiter()  # type: ignore[attr-defined]  # of the base class, which does not declare it
        if self._transport is not None and not self._paused and self._held > self._wanted + 2 * self._limit:
            self._transport.pause_reading()
            self._paused = True

    def at_eof(self) -> bool:
        """Whether the connection has ended, and all of it was read."""
        return self._eof and not self._held

    async def readexactly(self, n: int) -> bytes:
        """The next `n` bytes. Raises `IncompleteReadError` where the connection ends before.

        Raises `ValueError` for a negative size: what answers is no broker.
        """
        if n < 0:
            raise ValueError(f"a response of {n} bytes")
        error = self.exception()
        if error is not None:
            raise error
        self._wanted = n
        try:
            while self._held < n:
                if self._eof:
                    raise asyncio.IncompleteReadError(self._taken(self._held), n)
                await self._wait_for_data("readexactly")  # type: ignore[attr-defined]  # of the base class
        finally:
            self._wanted = 0
        taken = self._taken(n)
        if self._paused and self._held <= self._limit and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return taken

    def _taken(self, n: int) -> bytes:
        """Remove so many bytes; that many are held."""
        pieces, some = self._pieces, []
        self._held -= n
        while n:
            piece = pieces.popleft()
            if len(piece) > n:
                rest = memoryview(piece)
                pieces.appendleft(rest[n:])
                piece = rest[:n]
            some.append(piece)
            n -= len(piece)
        return b"".join(some)


class ResponseProtocol(conn_module.AIOKafkaProtocol):  # type: ignore[misc]  # aiokafka has no types
    """The protocol of a connection to a broker, with such a reader."""

    def __init__(self, closed: Any, reader: asyncio.StreamReader, **options: Any) -> None:
        ResponseReader.adopt(reader)
        super().__init__(closed, reader, **options)
