"""What a connection brings in pieces is read as aiokafka reads it: by length, whatever the pieces are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.responses import ResponseProtocol, ResponseReader

LIMIT = 8


class Connection:
    """Counts how often reading is paused and resumed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def new_reader(kind: type[ResponseReader] | None = ResponseReader) -> tuple[asyncio.StreamReader, Connection]:
    reader, connection = asyncio.StreamReader(limit=LIMIT), Connection()
    if kind is not None:
        kind.adopt(reader)
    reader.set_transport(cast("Any", connection))
    return reader, connection


async def read(reader: asyncio.StreamReader, pieces: Sequence[bytes], sizes: Sequence[int]) -> list[bytes]:
    """What is read in parts of these sizes while the pieces come; the last part is what is left where it ends too early."""
    found: list[bytes] = []

    async def take() -> None:
        for size in sizes:
            try:
                found.append(await reader.readexactly(size))
            except asyncio.IncompleteReadError as error:
                found.append(error.partial)
                return

    taking = asyncio.ensure_future(take())
    for piece in pieces:
        await asyncio.sleep(0)
        reader.feed_data(piece)
    reader.feed_eof()
    await taking
    return found


@given(pieces=st.lists(st.binary(max_size=20), max_size=12), sizes=st.lists(st.integers(0, 40), max_size=8))
def test_any_pieces_are_read_as_asyncios_own_reader_reads_them(pieces: list[bytes], sizes: list[int]) -> None:
    async def both() -> tuple[list[bytes], list[bytes]]:
        return await read(new_reader()[0], pieces, sizes), await read(new_reader(None)[0], pieces, sizes)

    ours, asyncios = asyncio.run(both())
    assert ours == asyncios
    assert all(type(part) is bytes for part in ours)


async def test_a_connection_is_not_paused_while_the_response_that_is_read_needs_more() -> None:
    reader, connection = new_reader()
    reading = asyncio.ensure_future(reader.readexactly(100 * LIMIT))
    for _ in range(100):
        await asyncio.sleep(0)
        reader.feed_data(b"x" * LIMIT)
    assert await reading == b"x" * 100 * LIMIT
    assert connection.calls == []


async def test_a_connection_is_paused_where_nobody_reads_and_goes_on_when_somebody_does() -> None:
    reader, connection = new_reader()
    for _ in range(4):
        reader.feed_data(b"x" * LIMIT)
    assert connection.calls == ["pause"]
    assert await reader.readexactly(4 * LIMIT) == b"x" * 4 * LIMIT
    assert connection.calls == ["pause", "resume"]


async def test_a_negative_size_ends_the_reading_at_once() -> None:
    reader, _ = new_reader()
    reader.feed_data(b"x" * 5)
    with pytest.raises(ValueError, match="-7 bytes"):
        await reader.readexactly(-7)


async def test_a_connection_that_has_ended_is_at_its_end_when_all_of_it_was_read() -> None:
    reader, _ = new_reader()
    reader.feed_data(b"1234")
    reader.feed_eof()
    assert not reader.at_eof()
    assert await reader.readexactly(4) == b"1234"
    assert reader.at_eof()


async def test_an_error_of_the_connection_ends_the_reading() -> None:
    reader, _ = new_reader()
    reading = asyncio.ensure_future(reader.readexactly(5))
    await asyncio.sleep(0)
    reader.set_exception(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError):
        await reading
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)


async def test_responses_of_any_size_come_whole_over_a_socket_until_it_is_closed_in_the_middle_of_one() -> None:
    pick = random.Random(7)
    responses = [pick.randbytes(pick.choice((0, 1, 1_000, 65_536, 131_073, 1_500_000))) for _ in range(40)]

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in [*responses, b"cut off"]:
            writer.write(response)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LIMIT)  # so that the connection is paused again and again
    transport, _ = await loop.create_connection(
        lambda: ResponseProtocol(loop.create_future(), reader, loop=loop), *server.sockets[0].getsockname()
    )
    for response in responses:
        assert await reader.readexactly(len(response)) == response
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader.readexactly(1_000)
    assert caught.value.partial == b"cut off"
    assert reader.at_eof()
    transport.close()
    server.close()
    await server.wait_closed()
