"""The client of the other workers, on real servers: answers are read whole, and a worker that is gone costs others no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agents.tasks import TaskManager
from app.kafka.assignor import Member
from app.kafka.clock import now_ms
from app.settings import Settings
from app.web import peers as module
from app.web.errors import PeerUnavailableError
from app.web.peers import Peers
from app.web.security.proof import is_proof


class Other:
    """Another worker's web port."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.silent = False
        self.answer: Callable[[], Any] = dict
        site = web.Application()
        site.router.add_get("/{tail:.*}", self._handle)
        self.server = TestServer(site)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.silent:
            await asyncio.Event().wait()
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in self.answer():  # each in a packet of its own, as a proxy sends them
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")


def peers_of(*members: Member, token: str = "") -> Peers:
    tasks = SimpleNamespace(
        settings=Settings.load(_env_file=None, web_token=token), url="http://me:1", assignor=SimpleNamespace(members=members)
    )
    return Peers(cast("TaskManager", tasks))


@pytest.fixture
async def other() -> AsyncIterator[Other]:
    made = Other()
    async with made.server:
        yield made


async def test_an_answer_in_many_pieces_is_read_to_its_end(other: Other) -> None:
    other.answer = lambda: [b'{"windows": [', *(b'"%d", ' % number for number in range(30)), b'"last"]}']
    peers = peers_of()
    await peers.start()
    try:
        answer = await peers.get_json(other.url, "/api/v1/windows", {})
    finally:
        await peers.stop()
    assert answer["windows"] == [*map(str, range(30)), "last"]


async def test_an_answer_without_an_end_is_given_up(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RESPONSE_BYTES", 1_000)
    other.answer = lambda: [b"1" * 600, b"1" * 600]
    peers = peers_of()
    await peers.start()
    try:
        with pytest.raises(PeerUnavailableError, match="more than"):
            await peers.get_json(other.url, "/", {})
    finally:
        await peers.stop()


async def test_a_worker_that_does_not_answer_is_asked_once_and_then_rests(
    other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(module, "REST_SECONDS", 1_000.0)
    other.silent = True
    peers = peers_of(Member(other.url, list(range(8))))
    await peers.start()
    try:
        for number in range(8):
            responses, away = await peers.get_from_owners([number], "/api/v1/windows", {})
            assert not responses
            assert "did not answer" in away[0].reason
    finally:
        await peers.stop()
    assert len(other.requests) == 1


async def test_a_worker_that_rested_is_asked_again(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(module, "REST_SECONDS", 0.0)
    other.silent = True
    peers = peers_of()
    await peers.start()
    try:
        with pytest.raises(PeerUnavailableError):
            await peers.get_json(other.url, "/", {})
        other.silent, other.answer = False, lambda: [b'{"now": 1}']
        assert await peers.get_json(other.url, "/", {}) == {"now": 1}
    finally:
        await peers.stop()


async def test_all_owners_are_looked_at_together_and_those_that_answered_are_not_looked_at_again(other: Other) -> None:
    other.answer = lambda: [b"{}"]
    gone = [Member(f"http://127.0.0.1:{port}", [port]) for port in range(1, 9)]  # nothing listens there
    peers = peers_of(Member(other.url, [0]), *gone)
    await peers.start()
    try:
        await peers.look(range(9))
        await peers.look(range(9))
        _, away = await peers.get_from_owners(range(1, 9), "/", {})
    finally:
        await peers.stop()
    assert [request.path for request in other.requests] == ["/healthz"]
    assert len(away) == 8


@pytest.mark.parametrize("url", ["http://", "not an address", "http://[::1", "http://127.0.0.1:99999"])
async def test_an_address_that_is_none_is_a_worker_that_is_away(url: str) -> None:
    peers = peers_of(Member(url, [0]))
    await peers.start()
    try:
        _, away = await peers.get_from_owners([0], "/", {})
    finally:
        await peers.stop()
    assert away[0].url == url


async def test_the_token_is_never_sent_to_an_address_that_a_member_announced(other: Other) -> None:
    other.answer = lambda: [b"{}"]
    peers = peers_of(token="a secret")
    await peers.start()
    try:
        await peers.get_json(other.url, "/api/v1/why/b/EUR%2FUSD/1", {"symbol": "EUR/USD"})
    finally:
        await peers.stop()
    (request,) = other.requests
    assert "secret" not in str(request.headers)
    assert is_proof(request.headers["Authorization"], b"a secret", other.url, request.path, request.query.items(), now_ms())
