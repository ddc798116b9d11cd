"""ksqlDB over HTTP: every request has a time limit, and only what does nothing is sent twice.

A statement whose request got no answer may have been executed: that is `UnreachableError`, and its caller asks the
catalogue. Waits between two tries grow by factor two and are spread at random; a server that says Retry-After is obeyed.
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
from decimal import Decimal
from typing import Any, Self
from urllib.parse import quote

import httpx

from app.errors import SettingsError
from migrations.errors import KsqlDbError, MigrationError, UnreachableError
from migrations.server.catalog import QUESTION, Catalogue, lag, read
from migrations.server.responses import (
    BAD_REQUEST,
    NOT_FOUND,
    as_object,
    busy,
    content,
    no_ksqldb,
    refusal,
    retry_after,
    within,
)

KSQL = "application/vnd.ksql.v1+json"
ROWS = "application/vnd.ksqlapi.delimited.v1"  # with the other one /query-stream answers in the shape of older servers
SENTINEL = "BARWHEEL_NO_SUCH_QUERY"
FINAL = {"SUCCESS", "ERROR", "TERMINATED"}
# a server whose Kafka is away answers /info and /healthcheck after 30 s, others never
CONNECT_SECONDS, READ_SECONDS, TRY_SECONDS = 5.0, 40.0, 120.0
WAITS = (0.2, 5.0)  # seconds, first and longest
POLL_SECONDS = 0.5
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
        """`read_seconds`: how long one request may take; `try_seconds`: how long the same is asked again.

        Raises `SettingsError` where `ca_file` cannot be used.
        """
        self.url = url.rstrip("/")
        self.requests = 0
        self._read_seconds = read_seconds
        self._try_seconds = try_seconds
        self._http = httpx.AsyncClient(
            base_url=self.url,
            auth=httpx.BasicAuth(user, password) if user else None,
            headers={"Accept": KSQL},
            verify=_trust(ca_file) if self.url.startswith("https:") else True,
            timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
            trust_env=False,  # no proxy and no .netrc of whoever starts it: the settings say all
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    # ---- questions

    async def info(self) -> Info:
        """GET /info."""
        found = as_object(await self._asked("GET", "/info")).get("KsqlServerInfo", {})
        names = ("version", "kafkaClusterId", "ksqlServiceId", "serverStatus")
        return Info(*(str(found.get(name, "")) for name in names))

    async def healthy(self) -> bool:
        """GET /healthcheck."""
        return bool(as_object(await self._asked("GET", "/healthcheck")).get("isHealthy"))

    async def catalogue(self, after: int | None = None) -> Catalogue:
        """All that the server has, in one request; `after`: as in `execute`, for servers of several nodes."""
        entities = await self._asked_ksql(QUESTION, after=after)
        kinds = [entity.get("@type") for entity in entities]
        if kinds != ["source_descriptions", "source_descriptions", "type_list"]:  # nothing found is not nothing there
            raise MigrationError(f"{self.url} answers {kinds} when asked for streams, tables and types: is it a ksqlDB server?")
        try:
            return read(entities)
        except (KeyError, TypeError, IndexError) as error:
            raise MigrationError(f"{self.url} describes what it has in a form that is not known here ({error!r})") from error

    async def lags(self) -> dict[str, dict[str, int]]:
        """By source and topic: how many records the query that writes to it has not read yet; see `catalogue.lag`."""
        entities = await self._asked_ksql(QUESTION)
        sources = [source for entity in entities for source in entity.get("sourceDescriptions", ())]
        return {source["name"]: lag(source) for source in sources}

    async def query_states(self) -> dict[str, str]:
        """By id: RUNNING, PAUSED, ERROR or another; of one that runs on several nodes the worst."""
        found = {}
        for entity in await self._asked_ksql("SHOW QUERIES;"):
            for query in entity.get("queries", ()):
                states = [state for state in query["statusCount"] if state != "RUNNING"]  # `state` says RUNNING of a paused one
                found[str(query["id"])] = states[0] if states else "RUNNING"
        return found

    async def query(self, sql: str, properties: Properties | None = None) -> list[dict[str, Any]]:
        """Rows of a pull query by column name; numbers with decimals are `Decimal`, digit by digit as they came."""
        answer = await self._repeated("POST", "/query-stream", {"sql": sql, "properties": dict(properties or {})})
        if answer.status_code >= BAD_REQUEST:
            raise refusal(answer, sql)
        try:
            header, *rows = [json.loads(line, parse_float=Decimal) for line in answer.text.splitlines() if line.strip()]
            columns = header["columnNames"]
        except (ValueError, KeyError, TypeError):
            raise no_ksqldb(self.url, answer) from None
        for row in rows:
            if isinstance(row, dict) and "error_code" in row:  # it broke off
                raise KsqlDbError(int(row["error_code"]), str(row.get("message", "")), sql)
        return [dict(zip(columns, row, strict=True)) for row in rows if isinstance(row, list)]

    async def validate(self, texts: Sequence[str], properties: Properties) -> None:
        """Have the server check statements together without running any; raises `KsqlDbError` for the first that it refuses.

        There is no such request: an EXPLAIN of a query that cannot exist comes last, and is the only error of a good plan.
        """
        sentinel = f"EXPLAIN {SENTINEL};"
        try:
            await self._asked_ksql("\n".join([*texts, sentinel]), properties)
        except KsqlDbError as error:
            if not (error.statement.startswith("EXPLAIN") and SENTINEL in error.text):
                raise within(texts, error) from None
        else:
            raise MigrationError(f"{self.url} has a query named {SENTINEL}: no plan can be checked without running it")

    # ---- statements

    async def execute(self, text: str, properties: Properties, after: int | None = None) -> Executed:
        """Send one statement, once, and wait until it is final; `after` is the sequence number that must come before it."""
        body: dict[str, Any] = {"ksql": text, "streamsProperties": dict(properties)}
        if after is not None:
            body["commandSequenceNumber"] = after
        entities = self._list(await self._once("POST", "/ksql", body), text)
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
            answer = await self._repeated("GET", f"/status/{quote(command)}", None)
            if answer.status_code == NOT_FOUND:
                raise UnreachableError(f"{self.url}: it knows nothing of {command} any more: was it restarted?")
            found = as_object(content(answer, self.url))
            if found.get("status") in FINAL:
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise UnreachableError(f"{self.url}: {command} is still not final after {self._try_seconds:.0f} s")

    # ---- requests

    async def _asked_ksql(
        self, text: str, properties: Properties | None = None, after: int | None = None
    ) -> list[dict[str, Any]]:
        body: dict[str, Any] = {"ksql": text, "streamsProperties": dict(properties or {})}
        if after is not None:
            body["commandSequenceNumber"] = after
        return self._list(await self._repeated("POST", "/ksql", body), "")

    async def _asked(self, method: str, path: str) -> Any:
        return content(await self._repeated(method, path, None), self.url)

    def _list(self, answer: httpx.Response, statement: str) -> list[dict[str, Any]]:
        body = content(answer, self.url, statement)
        if not isinstance(body, list) or not all(isinstance(entity, dict) for entity in body):
            raise no_ksqldb(self.url, answer)
        return body

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
                pause = retry_after(answer) or _spread(wait)
                if not busy(answer, harmless=harmless is httpx.TransportError) or time.monotonic() + pause > until:
                    return answer
                said = f"{answer.status_code} {answer.reason_phrase}"
            except httpx.TransportError as error:
                _check_trust(error, self.url)
                pause, said = _spread(wait), _text(error)
                if not isinstance(error, harmless) or time.monotonic() + pause > until:
                    raise UnreachableError(f"ksqlDB at {self.url}: {said}") from error
            log.warning("%s%s: %s; trying again in %.1f s", self.url, path, said, pause)
            await asyncio.sleep(pause)
            wait = min(2 * wait, WAITS[1])

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        self.requests += 1
        rows = path == "/query-stream"
        headers = {"Accept": ROWS if rows else KSQL}
        if body is not None and not rows:
            headers["Content-Type"] = KSQL
        try:
            async with asyncio.timeout(self._read_seconds):  # httpx counts from one byte to the next
                return await self._http.request(method, path, json=body, headers=headers)
        except httpx.DecodingError as error:  # it broke off within what was compressed
            raise httpx.ReadError(str(error)) from error
        except TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {self._read_seconds:.0f} s") from None


def _trust(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise SettingsError(f"ksqldb_ca_file={ca_file}: not a file of PEM certificates ({error})") from None


def _check_trust(error: BaseException | None, url: str) -> None:
    """Raise `SettingsError` where it failed for a certificate: trying again would not help."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = "set ksqldb_ca_file to the CA that signed it, and ksqldb_url to the name in it"
            raise SettingsError(f"ksqlDB at {url}: its certificate is not trusted ({error.verify_message}); {remedy}")
        error = error.__cause__ or error.__context__


def _spread(wait: float) -> float:
    return wait * random.uniform(0.5, 1.5)  # noqa: S311  # jitter


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
