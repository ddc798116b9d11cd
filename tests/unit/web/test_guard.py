"""The guard in front of every request, on a real server: no traceback in errors, a limit on requests, pages for browsers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.kafka.clock import now_ms
from app.settings import Settings
from app.web.security import guard
from app.web.security.headers import add_headers
from app.web.security.proof import proof

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


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},  # another port
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_another_site_makes_this_process_do_nothing(client: Client, headers: dict[str, str]) -> None:
    answer = await client.get("/api/broken", headers=headers)
    assert (answer.status, (await problem(answer))["title"]) == (403, "Forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},  # a link was followed
    ],
)
async def test_programs_our_own_pages_and_links_are_served(
    client: Client, gate: asyncio.Event, headers: dict[str, str]
) -> None:
    gate.set()
    assert (await client.get("/api/waiting", headers=headers)).status == 200


@pytest.mark.parametrize(("path", "status"), [("/api/waiting", 405), ("/nowhere", 404)])
async def test_a_method_that_is_not_allowed_is_told_before_its_body_is(client: Client, path: str, status: int) -> None:
    answer = await client.post(path, data=b"x" * 10)
    assert (await problem(answer))["status"] == status


async def test_another_worker_proves_the_token_and_a_proof_for_another_address_is_refused() -> None:
    asked = Settings.load(_env_file=None, web_token="a secret")
    url = "http://this-worker:6066"
    middleware = guard.Guard(asked, Counter(), lambda *_: "", lambda: url)
    site = web.Application(middlewares=[middleware.__call__])

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="done")

    site.add_routes([web.get("/api/{name}", answer)])
    async with TestClient(TestServer(site)) as client:
        for announced, status in ((url, 200), ("http://somebody:1", 401)):
            header = proof(b"a secret", announced, "/api/a%20b", {"symbol": "X|Y z"}, now_ms())
            sent = await client.get("/api/a b", params={"symbol": "X|Y z"}, headers={"Authorization": header})
            assert sent.status == status
