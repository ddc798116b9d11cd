"""ksqlDB over HTTP: every request has a time limit, and only what does nothing is sent twice.

A statement whose request got no answer may have been executed: that is `UnreachableError`, and its caller asks the
catalogue. Waits between two tries grow by factor two and are spread at random, or are what the server's Retry-After says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from migrations.catalogue import QUESTION, Catalogue, read
from migrations.errors import KsqlDbError, MigrationError, UnreachableError

ACCEPT = "application/vnd.ksql.v1+json"
SENTINEL = "BARWHEEL_NO_SUCH_QUERY"
BUSY = {429, 503}  # answers that say: not now, and nothing was done
FINAL = {"SUCCESS", "ERROR", "TERMINATED"}
CONNECT_SECONDS, READ_SECONDS, TRY_SECONDS = 5.0, 30.0, 120.0
WAITS = (0.2, 5.0)  # seconds, first and longest
POLL_SECONDS = 0.5
BAD_REQUEST = 400
log = logging.getLogger(__name__)
Properties = Mapping[str, str]


@dataclass(frozen=True)
class Executed:
    """What became of a statement: `sequence` is to be given with the next one; `warning` is the server's."""

    command: str
    sequence: int
    message: str
    query_id: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Info:
    """The server's own account of itself."""

    version: str
    cluster: str
    service: str
    status: str


class KsqlClient:
    """Use as `async with`. Raises `KsqlDbError` where the server says no, `UnreachableError` where it says nothing."""

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        ca_file: str = "",
        read_seconds: float = READ_SECONDS,
        try_seconds: float = TRY_SECONDS,
    ) -> None:
        """`read_seconds`: how long one request may take; `try_seconds`: how long the same is asked again."""
        self.url = url.rstrip("/")
        self.requests = 0
        self._try_seconds = try_seconds
        self._http = httpx.AsyncClient(
            base_url=self.url,
            auth=httpx.BasicAuth(user, password) if user else None,
            headers={"Accept": ACCEPT},
            verify=_trust(ca_file) if self.url.startswith("https:") else True,
            timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    # ---- questions

    async def info(self) -> Info:
        """GET /info."""
        found = _object(await self._asked("GET", "/info")).get("KsqlServerInfo", {})
        names = ("version", "kafkaClusterId", "ksqlServiceId", "serverStatus")
        return Info(*(str(found.get(name, "")) for name in names))

    async def healthy(self) -> bool:
        """GET /healthcheck."""
        return bool(_object(await self._asked("GET", "/healthcheck")).get("isHealthy"))

    async def catalogue(self) -> Catalogue:
        """All that the server has, in one request."""
        return read(await self._asked_ksql(QUESTION))

    async def query(self, sql: str, properties: Properties | None = None) -> list[dict[str, Any]]:
        """Rows of a pull query by column name; DECIMAL comes as `Decimal` would read it, as float."""
        answer = await self._repeated("POST", "/query-stream", {"sql": sql, "properties": dict(properties or {})})
        lines = [json.loads(line) for line in answer.text.splitlines() if line.strip(" ,[]")]
        if not lines:
            return []
        columns = lines[0]["columnNames"]
        return [dict(zip(columns, row, strict=True)) for row in lines[1:] if isinstance(row, list)]

    async def validate(self, texts: Sequence[str], properties: Properties) -> None:
        """Have the server check statements together without running any; raises `KsqlDbError` for the first that it refuses.

        There is no such request: an EXPLAIN of a query that cannot exist comes last, and is the only error of a good plan.
        """
        sentinel = f"EXPLAIN {SENTINEL};"
        try:
            await self._asked_ksql("\n".join([*texts, sentinel]), properties)
        except KsqlDbError as error:
            if SENTINEL not in error.text:
                raise
        else:
            raise MigrationError(f"{self.url} has a query named {SENTINEL}: no plan can be checked without running it")

    # ---- statements

    async def execute(self, text: str, properties: Properties, after: int | None = None) -> Executed:
        """Send one statement, once, and wait until it is final; `after` is the sequence number that must come before it."""
        body: dict[str, Any] = {"ksql": text, "streamsProperties": dict(properties)}
        if after is not None:
            body["commandSequenceNumber"] = after
        entities = _list(_content(await self._once("POST", "/ksql", body), text))
        entity = entities[-1] if entities else {}
        warning = str(entity.get("message", "")) if entity.get("@type") == "warning_entity" else ""
        status = entity.get("commandStatus") or {}
        command = str(entity.get("commandId", ""))
        if command and status.get("status") not in FINAL:
            status = await self._final(command)
        if status.get("status") == "ERROR":
            raise KsqlDbError(0, str(status.get("message", "")), text)
        return Executed(
            command,
            int(entity.get("commandSequenceNumber", -1)),
            str(status.get("message", "")),
            str(status.get("queryId") or ""),
            warning,
        )

    async def _final(self, command: str) -> dict[str, Any]:
        until = time.monotonic() + self._try_seconds
        while time.monotonic() < until:
            found = _object(await self._asked("GET", f"/status/{quote(command)}"))
            if found.get("status") in FINAL:
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise UnreachableError(f"{self.url}: {command} is still not final after {self._try_seconds:.0f} s")

    # ---- requests

    async def _asked_ksql(self, text: str, properties: Properties | None = None) -> list[dict[str, Any]]:
        body = {"ksql": text, "streamsProperties": dict(properties or {})}
        return _list(_content(await self._repeated("POST", "/ksql", body), ""))

    async def _asked(self, method: str, path: str) -> Any:
        return _content(await self._repeated(method, path, None), "")

    async def _repeated(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        """For what does nothing: again after every kind of silence."""
        return await self._tried(method, path, body, httpx.TransportError)

    async def _once(self, method: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """For what does something: again only where it is certain that the server did not get it, or did not take it."""
        return await self._tried(method, path, body, (httpx.ConnectError, httpx.ConnectTimeout))

    async def _tried(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        harmless: type[Exception] | tuple[type[Exception], ...],
    ) -> httpx.Response:
        until, wait = time.monotonic() + self._try_seconds, WAITS[0]
        while True:
            try:
                answer = await self._request(method, path, body)
                if answer.status_code not in BUSY or time.monotonic() > until:
                    return answer
                pause = _pause(answer, wait)
                said = f"{answer.status_code} {answer.reason_phrase}"
            except httpx.TransportError as error:
                if not isinstance(error, harmless) or time.monotonic() > until:
                    raise UnreachableError(f"ksqlDB at {self.url}: {_text(error)}") from error
                pause, said = _spread(wait), _text(error)
            log.warning("%s%s: %s; trying again in %.1f s", self.url, path, said, pause)
            await asyncio.sleep(pause)
            wait = min(2 * wait, WAITS[1])

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        self.requests += 1
        return await self._http.request(method, path, json=body)


def _trust(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise MigrationError(f"ksqldb_ca_file={Path(ca_file)}: not a file of PEM certificates ({error})") from None


def _content(answer: httpx.Response, statement: str) -> Any:
    """The JSON of a good answer; raises `KsqlDbError` for another."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.status_code < BAD_REQUEST:
        return body
    found = body if isinstance(body, dict) else {}
    text = str(found.get("message") or answer.text or answer.reason_phrase)
    raise KsqlDbError(
        int(found.get("error_code") or answer.status_code * 100), text, statement or found.get("statementText", "")
    )


def _object(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {}


def _list(body: Any) -> list[dict[str, Any]]:
    return [entity for entity in body if isinstance(entity, dict)] if isinstance(body, list) else []


def _pause(answer: httpx.Response, wait: float) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), WAITS[1]) if said.replace(".", "", 1).isdigit() else _spread(wait)


def _spread(wait: float) -> float:
    return wait * random.uniform(0.5, 1.5)  # noqa: S311  # jitter


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
