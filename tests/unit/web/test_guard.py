"""The guard in front of every request, on a real server: no traceback in errors, a limit on requests, pages for browsers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.settings import Settings
from app.web.security import guard
from app.web.security.headers import add_headers

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def responses() -> Counter[str]:
    return Counter()


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def client(responses: Counter[str], gate: asyncio.Event) -> AsyncIterator[Client]:
    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError("a secret of the inside")

    async def waiting(_: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(text="done")

    def error_page(request: web.Request, status: int, title: str, _: str) -> str:
        return f"<p>{request.path} {status} {title}</p>"

    middleware = guard.Guard(Settings.load(_env_file=None), responses, error_page)
    site = web.Application(middlewares=[middleware.__call__])
    site.on_response_prepare.append(add_headers)
    site.add_routes([web.get("/api/broken", broken), web.get("/broken", broken), web.get("/api/waiting", waiting)])
    async with TestClient(TestServer(site)) as made:
        yield made


async def problem(answer: Any) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    found: dict[str, Any] = await answer.json()
    assert found["status"] == answer.status
    return found


async def test_an_unexpected_error_is_logged_and_the_response_has_no_detail_of_it(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/api/broken")
    found = await problem(answer)
    assert answer.status == 500
    assert "secret" not in str(found)
    assert "a secret of the inside" in caplog.text


async def test_a_browser_gets_a_page_and_a_program_does_not(client: Client) -> None:
    page = await client.get("/broken", headers={"Accept": "text/html,*/*"})
    assert (page.content_type, await page.text()) == ("text/html", "<p>/broken 500 Internal Server Error</p>")
    await problem(await client.get("/broken"))
    await problem(await client.get("/api/broken", headers={"Accept": "text/html"}))


async def test_requests_beyond_the_limit_get_503_with_retry_after(
    client: Client, gate: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_CONCURRENT", 2)
    asked = [asyncio.ensure_future(client.get("/api/waiting")) for _ in range(3)]
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    refused = done.pop().result()
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    gate.set()
    assert sorted([(await one).status for one in asked]) == [200, 200, 503]
    assert (await client.get("/api/waiting")).status == 200


async def test_a_response_that_takes_too_long_is_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "TIMEOUT_SECONDS", 0.01)
    answer = await client.get("/api/waiting")
    assert answer.status == 503
    assert "no answer within" in (await problem(answer))["detail"]


async def test_responses_are_counted_by_status(client: Client, responses: Counter[str]) -> None:
    await client.get("/nothing")
    await client.get("/api/broken")
    await client.get("/api/broken")
    assert responses == {"404": 1, "500": 2}
