"""A client for ksqlDB's HTTP API.

A statement without a response may have been executed. The client then raises `UnreachableError`, and the caller looks into
the catalog.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Self
from urllib.parse import quote

import httpx

from app import https
from migrations.errors import KsqlDbError, MigrationError, UnreachableError
from migrations.ksql.parse.masking import masked
from migrations.server.catalog import CATALOG_STATEMENTS, Catalog, parse_catalog, parse_connectors, query_lag
from migrations.server.query_states import RUNNING
from migrations.server.responses import BAD_REQUEST, NOT_FOUND, as_object, json_content, ksqldb_error, located_in, not_ksqldb
from migrations.server.transport import Transport

SENTINEL = "BARWHEEL_NO_SUCH_QUERY"
FINAL = {"SUCCESS", "ERROR", "TERMINATED"}
# a server without its Kafka answers /info and /healthcheck after 30 s, and other requests never
READ_SECONDS, TRY_SECONDS = 40.0, 120.0
POLL_SECONDS = 0.5
# a table that was just created, or a server that was just started, answers pull queries some seconds later
COLD_SECONDS = 30.0
_COLD = re.compile(
    "Unable to execute pull query|Cannot determine which host|not in a running state|State store currently unavailable"
)
log = logging.getLogger(__name__)
Properties = Mapping[str, str]


@dataclass(frozen=True)
class ExecutionResult:
    """The result of a statement. Pass `sequence` with the next statement. `warning` is the server's."""

    command: str
    sequence: int
    message: str
    query_id: str = ""
    warning: str = ""


@dataclass(frozen=True)
class ServerInfo:
    """The response to GET /info."""

    version: str
    cluster: str
    service: str
    status: str


class KsqlClient:
    """Use as `async with`.

    All methods raise `KsqlDbError` for an error response, `UnreachableError` without a response, and `MigrationError` for a
    server that is not ksqlDB.
    """

    def __init__(  # noqa: PLR0913  # the settings of one server
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        ca_file: str = "",
        read_seconds: float = READ_SECONDS,
        try_seconds: float = TRY_SECONDS,
        identity: https.Identity = https.NOBODY,
        backoff_seconds: float = 0.0,
    ) -> None:
        """As those of `Transport`. Raises `SettingsError` if one of the files cannot be used."""
        self._transport = Transport(
            url,
            user=user,
            password=password,
            ca_file=ca_file,
            read_seconds=read_seconds,
            try_seconds=try_seconds,
            identity=identity,
            backoff_seconds=backoff_seconds,
        )

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transport.__aexit__(*error)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._transport.url

    @property
    def requests(self) -> int:
        """The number of HTTP requests so far, retries included."""
        return self._transport.requests

    async def info(self) -> ServerInfo:
        """GET /info."""
        info = as_object(await self._get("/info")).get("KsqlServerInfo", {})
        names = ("version", "kafkaClusterId", "ksqlServiceId", "serverStatus")
        return ServerInfo(*(str(info.get(name, "")) for name in names))

    async def healthy(self) -> bool:
        """GET /healthcheck."""
        return bool(as_object(await self._get("/healthcheck")).get("isHealthy"))

    async def catalog(self, after: int | None = None, *, connectors: bool = False) -> Catalog:
        """All sources, queries and types, by one request. `after` is a sequence number, as in `execute`.

        `connectors` are asked for by a further request: a server without Kafka Connect refuses that.
        Raises `MigrationError` for an incomplete or unknown response: it must not pass for an empty catalog.
        """
        entities = await self._query_entities(CATALOG_STATEMENTS, after=after)
        kinds = [entity.get("@type") for entity in entities]
        if kinds != ["source_descriptions", "source_descriptions", "type_list"]:
            raise MigrationError(f"{self.url} answers {kinds} when asked for streams, tables and types: is it a ksqlDB server?")
        try:
            found = parse_catalog(entities)
            return replace(found, connectors=parse_connectors(await self._connectors())) if connectors else found
        except (KeyError, TypeError, IndexError) as error:
            raise MigrationError(f"{self.url}: the catalog has an unknown form ({error!r})") from error

    async def _connectors(self) -> list[dict[str, Any]]:
        for entity in await self._query_entities("SHOW CONNECTORS;"):
            if entity.get("@type") == "connector_list":
                return list(entity["connectors"])
            if "errorMessage" in entity:
                raise MigrationError(f"{self.url}: SHOW CONNECTORS: {entity['errorMessage']} (see ksql.connect.url there)")
        raise MigrationError(f"{self.url}: SHOW CONNECTORS has an unknown answer")

    async def lags(self) -> dict[str, dict[str, int]]:
        """By source and topic: records that the query writing the source has still to read; see `query_lag`."""
        entities = await self._query_entities(CATALOG_STATEMENTS)
        sources = [source for entity in entities for source in entity.get("sourceDescriptions", ())]
        return {source["name"]: query_lag(source) for source in sources}

    async def query_states(self) -> dict[str, str]:
        """States by query id: RUNNING, PAUSED, ERROR or another. A query on several nodes has its worst state."""
        states = {}
        for entity in await self._query_entities("SHOW QUERIES;"):
            for query in entity.get("queries", ()):
                # the field `state` says RUNNING of a paused query
                not_running = [state for state in query["statusCount"] if state != RUNNING]
                states[str(query["id"])] = not_running[0] if not_running else RUNNING
        return states

    async def query_errors(self) -> dict[str, int]:
        """The numbers of errors that the server keeps, by query id."""
        entities = await self._query_entities("SHOW QUERIES EXTENDED;")
        found = [query for entity in entities for query in entity.get("queryDescriptions", ())]
        return {str(query["id"]): len(query.get("queryErrors") or ()) for query in found}

    async def query(self, sql: str, properties: Properties | None = None) -> list[dict[str, Any]]:
        """Rows of a pull query by column name. Numbers with a fraction are exact `Decimal` values.

        It is asked again while the table cannot answer yet, for `COLD_SECONDS` at most. The log says so once.
        """
        longest = min(COLD_SECONDS, self._transport.try_seconds)
        until, waits = time.monotonic() + longest, False
        while True:
            try:
                return await self._rows(sql, properties or {})
            except KsqlDbError as error:
                if _COLD.search(error.text) is None or time.monotonic() > until:
                    raise
                if not waits:
                    log.warning("%s: %s: asking again for up to %.0f s (%s)", self.url, sql, longest, error.text)
                waits = True
            await asyncio.sleep(POLL_SECONDS)

    async def _rows(self, sql: str, properties: Properties) -> list[dict[str, Any]]:
        body = {"sql": sql, "properties": dict(properties)}
        response = await self._transport.send_idempotent("POST", "/query-stream", body)
        if response.status_code >= BAD_REQUEST:
            raise ksqldb_error(response, sql)
        try:
            header, *rows = [json.loads(line, parse_float=Decimal) for line in response.text.splitlines() if line.strip()]
            columns = header["columnNames"]
        except (ValueError, KeyError, TypeError):
            raise not_ksqldb(self.url, response) from None
        for row in rows:
            if isinstance(row, dict) and "error_code" in row:  # the query failed between two rows
                raise KsqlDbError(int(row["error_code"]), str(row.get("message", "")), sql)
        return [dict(zip(columns, row, strict=True)) for row in rows if isinstance(row, list)]

    async def validate(self, texts: Sequence[str], properties: Properties) -> None:
        """Have the server check statements together without executing any.

        ksqlDB has no such request. The client appends an EXPLAIN of a query that cannot exist: the server checks all
        statements of a request before it executes the first, and of a valid plan it rejects only that EXPLAIN.
        Raises `KsqlDbError` for the first statement that the server rejects.
        """
        sentinel = f"EXPLAIN {SENTINEL};"
        try:
            await self._query_entities("\n".join([*texts, sentinel]), properties)
        except KsqlDbError as error:
            if not (error.statement.startswith("EXPLAIN") and SENTINEL in error.text):
                raise located_in([masked(text) for text in texts], error) from None
        else:
            raise MigrationError(f"{self.url} has a query named {SENTINEL}: no plan can be checked without running it")

    async def execute(self, text: str, properties: Properties, after: int | None = None) -> ExecutionResult:
        """Send one statement, once, and wait for its final status.

        `after` is the sequence number of the command that the server must have executed before.
        """
        response = await self._transport.send_once("POST", "/ksql", _ksql_body(text, properties, after))
        text = masked(text)  # for messages
        entities = self._entities(response, text)
        entity = entities[-1] if entities else {}
        if entity.get("@type") == "error_entity":  # of older servers, about Kafka Connect
            raise KsqlDbError(0, str(entity.get("errorMessage", "")), text)
        warning = str(entity.get("message", "")) if entity.get("@type") == "warning_entity" else ""
        status = entity.get("commandStatus") or {}
        command = str(entity.get("commandId", ""))
        if command and status.get("status") not in FINAL:
            status = await self._final_status(command)
        if status.get("status") == "ERROR":
            raise KsqlDbError(0, str(status.get("message", "")), text)
        return ExecutionResult(
            command,
            int(entity.get("commandSequenceNumber", -1)),
            str(status.get("message", "")),
            str(status.get("queryId") or ""),
            warning,
        )

    async def _final_status(self, command: str) -> dict[str, Any]:
        until = time.monotonic() + self._transport.try_seconds
        while time.monotonic() < until:
            response = await self._transport.send_idempotent("GET", f"/status/{quote(command)}")
            if response.status_code == NOT_FOUND:
                raise UnreachableError(f"{self.url}: the server does not know {command} any more: was it restarted?")
            status = as_object(json_content(response, self.url))
            if status.get("status") in FINAL:
                return status
            await asyncio.sleep(POLL_SECONDS)
        raise UnreachableError(f"{self.url}: {command} is still not final after {self._transport.try_seconds:.0f} s")

    async def _query_entities(
        self, text: str, properties: Properties | None = None, after: int | None = None
    ) -> list[dict[str, Any]]:
        body = _ksql_body(text, properties or {}, after)
        return self._entities(await self._transport.send_idempotent("POST", "/ksql", body), "")

    async def _get(self, path: str) -> Any:
        return json_content(await self._transport.send_idempotent("GET", path), self.url)

    def _entities(self, response: httpx.Response, statement: str) -> list[dict[str, Any]]:
        body = json_content(response, self.url, statement)
        if not isinstance(body, list) or not all(isinstance(entity, dict) for entity in body):
            raise not_ksqldb(self.url, response)
        return body


def _ksql_body(text: str, properties: Properties, after: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"ksql": text, "streamsProperties": dict(properties)}
    return body if after is None else {**body, "commandSequenceNumber": after}
