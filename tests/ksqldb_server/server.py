"""The HTTP of the stand-in: the real server's paths, and paths for tests, which begin with `/_`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from migrations.ksql.errors import LexError
from migrations.ksql.parse.normal import clean, split_tokens, substitute
from tests.ksqldb_server.ddl import execute
from tests.ksqldb_server.faults import Condition, Fault, check_ready, check_writable
from tests.ksqldb_server.recorded import refusals, text_of
from tests.ksqldb_server.refusal import Refusal, SyntaxRefusal
from tests.ksqldb_server.show import answer
from tests.ksqldb_server.state import Query, State
from tests.ksqldb_server.syntax import parse

PREFIXES = ("ksql.", "auto.offset.reset", "processing.guarantee", "cache.", "commit.", "num.stream")
SETTINGS = {"SET", "UNSET", "DEFINE", "UNDEFINE", "ALTER"}
Entity = dict[str, Any]


class Server:
    """Handlers over one state. With `state_file`, the state survives a kill."""

    def __init__(
        self, state_file: Path | None = None, transcripts: Path | None = None, *, version: str = "7.5.0", registry: bool = False
    ) -> None:
        self._version = version
        self._refusals = refusals(transcripts) if transcripts is not None else {}
        self._file = state_file
        self.state = State.load(state_file) if state_file is not None and state_file.exists() else State()
        self.state.registry = registry
        self.faults: list[Fault] = []
        self.released = asyncio.Event()  # ends the fault `hold`
        self._hidden: dict[str, Query] = {}
        self.condition = Condition.well
        self.requests: list[str] = []
        self.headers: dict[str, str] = {}  # of the last request

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_post("/ksql", self._guarded(self._ksql))
        app.router.add_get("/ksql", self._not_allowed)
        app.router.add_post("/query-stream", self._guarded(self._query))
        app.router.add_post("/query", self._guarded(self._old_query))
        app.router.add_get("/info", self._guarded(self._info))
        app.router.add_get("/clusterStatus", self._guarded(self._cluster))
        app.router.add_get("/v1/metadata", self._guarded(self._metadata))
        app.router.add_get("/v1/metadata/id", self._guarded(self._metadata))
        app.router.add_get("/is_valid_property/{name}", self._guarded(self._valid_property))
        app.router.add_get("/healthcheck", self._guarded(self._health))
        app.router.add_get("/status", self._guarded(self._statuses))
        app.router.add_get("/status/{command:.+}", self._guarded(self._status))
        app.router.add_get("/_executed", self._executed)
        app.router.add_post("/_faults", self._set_fault)
        app.router.add_post("/_release", self._release)
        app.router.add_post("/_topics", self._set_topic)
        app.router.add_post("/_committed", self._set_committed)
        app.router.add_post("/_hidden", self._set_hidden)
        app.router.add_post("/_state", self._set_state)
        return app

    # ---- paths for tests

    async def _executed(self, _: web.Request) -> web.Response:
        return web.json_response({"executed": self.state.executed, "requests": self.requests, "headers": self.headers})

    async def _set_fault(self, request: web.Request) -> web.Response:
        self.faults.append(Fault(**await request.json()))
        return web.json_response({})

    async def _release(self, _: web.Request) -> web.Response:
        self.released.set()
        return web.json_response({})

    async def _not_allowed(self, _: web.Request) -> web.Response:
        return web.Response(status=405)

    async def _set_topic(self, request: web.Request) -> web.Response:
        """Add a topic that exists in Kafka."""
        body = await request.json()
        self.state.topics.setdefault(body["name"], body["partitions"])
        self._save()
        return web.json_response({})

    async def _set_committed(self, request: web.Request) -> web.Response:
        self.state.committed = await request.json()
        self._save()
        return web.json_response({})

    async def _set_hidden(self, request: web.Request) -> web.Response:
        """Let queries disappear, as while the server shuts down; all others are there again."""
        self.state.queries |= self._hidden
        self._hidden = {name: self.state.queries.pop(name) for name in await request.json()}
        return web.json_response({})

    async def _set_state(self, request: web.Request) -> web.Response:
        """Set fields of the state; `errors` are those of queries, by id."""
        for name, value in (await request.json()).items():
            if name == "errors":
                for query, texts in value.items():
                    self.state.queries[query].errors = texts
            else:
                setattr(self.state, name, value)
        self._save()
        return web.json_response({})

    def _save(self) -> None:
        if self._file is not None:
            self.state.save(self._file)

    def _fault(self, text: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.match in text:
                fault.times -= 1
                return fault
        return None

    # ---- the real server's paths

    def _guarded(
        self, handler: Callable[[web.Request, str], Awaitable[web.Response]]
    ) -> Callable[..., Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            text = await request.text()
            self.headers = dict(request.headers)
            self.requests.append(f"{request.method} {request.path} {text}")
            fault = self._fault(text)
            if fault is not None and fault.kind in {"delay", "hold"}:
                await (self.released.wait() if fault.kind == "hold" else asyncio.sleep(fault.seconds))
            elif fault is not None and fault.kind == "before":
                _cut(request)
            elif fault is not None and (broken := _broken_response(fault.kind, text)) is not None:
                return broken
            try:
                check_ready(self.condition)
                response = await handler(request, text)
            except Refusal as refusal:
                return web.json_response(refusal.body, status=refusal.status)
            finally:
                self._save()
            if fault is not None and fault.kind == "after":
                _cut(request)
            return response

        return handle

    async def _ksql(self, request: web.Request, text: str) -> web.Response:
        body = _json(text)
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=406)
        body.setdefault("ksql", "")
        _check_properties(body.get("streamsProperties") or {}, str(body["ksql"]))
        after = body.get("commandSequenceNumber")
        if after is not None and after > self.state.sequence:
            raise Refusal("Timed out while waiting for a previous command to execute.", code=50301)
        statements = _parsed(_with_variables(body))
        trial = self.state.sandbox()
        for statement in statements:
            check_writable(self.condition, statement)
            _execute(trial, statement)
        entities = [_execute(self.state, statement) for statement in statements]
        if self.condition is Condition.slow:
            queued = {"status": "QUEUED", "message": "Statement written to command topic", "queryId": None}
            entities = [entity | {"commandStatus": queued} if "commandStatus" in entity else entity for entity in entities]
        return _respond([entity for entity in entities if entity])

    def _check_recorded(self, body: Entity) -> None:
        status, error = self._refusals.get(text_of(body), (0, {}))
        if error:
            raise Refusal(error["message"], error.get("statementText", ""), code=error["error_code"], status=status)

    async def _query(self, _: web.Request, text: str) -> web.Response:
        body = _json(text)
        self._check_recorded(body)
        sql = str(body.get("sql", ""))
        about = sql.upper().split()
        name = about[about.index("FROM") + 1].strip("`;") if "FROM" in about else ""
        if name not in self.state.sources:
            raise Refusal(f"Exception while preparing statement: {name} does not exist.", sql)
        if self.condition is Condition.cold:
            raise Refusal(
                "Error starting pull query: Unable to execute pull query. [Partition 0 failed to find valid host.]", sql
            )
        source = self.state.sources[name]
        if source.kind == "TABLE" and not source.query and "EMIT" not in about:
            raise Refusal(f"The `{name}` table isn't queryable. To derive a queryable table, you can do 'CREATE TABLE'", sql)
        columns = [column[0] for column in source.columns]
        head = {"queryId": "query_1", "columnNames": columns, "columnTypes": [column[1] for column in source.columns]}
        rows = [[row.get(column) for column in columns] for row in self.state.rows.get(name, ())]
        lines = [json.dumps(line) + "\n" for line in (head, *rows)]
        return web.Response(text="".join(lines), content_type="application/vnd.ksqlapi.delimited.v1")

    async def _info(self, _: web.Request, __: str) -> web.Response:
        about = {
            "version": self._version,
            "kafkaClusterId": "stand-in",
            "ksqlServiceId": "default_",
            "serverStatus": self._status_word(),
        }
        return _respond({"KsqlServerInfo": about})

    async def _health(self, _: web.Request, __: str) -> web.Response:
        healthy = self.condition is not Condition.kafka_away
        details = {name: {"isHealthy": healthy or name == "metastore"} for name in ("metastore", "kafka", "commandRunner")}
        return _respond({"isHealthy": healthy, "details": details, "serverState": "READY"})

    def _status_word(self) -> str:
        return "ERROR" if self.condition is Condition.kafka_away else "RUNNING"

    async def _old_query(self, _: web.Request, __: str) -> web.Response:
        """POST /query, of the API before /query-stream."""
        return _respond([{"header": {"queryId": "query_1", "schema": ""}}, {"row": {"columns": []}}])

    async def _cluster(self, _: web.Request, __: str) -> web.Response:
        host = {"hostAlive": True, "lastStatusUpdateMs": 0, "activeStandbyPerQuery": {}, "hostStoreLags": {}}
        return _respond({"clusterStatus": {"127.0.0.1:8088": host}})

    async def _metadata(self, request: web.Request, _: str) -> web.Response:
        found = {"scope": {"path": [], "clusters": {"kafka-cluster": "stand-in", "ksql-cluster": "default_"}}, "id": ""}
        return _respond(found if request.path.endswith("/id") else {"version": self._version, "clusterId": found})

    async def _valid_property(self, request: web.Request, _: str) -> web.Response:
        _check_properties({request.match_info["name"]: "earliest"}, "")
        return _respond(True)

    async def _statuses(self, _: web.Request, __: str) -> web.Response:
        return _respond({"commandStatuses": {name: status["status"] for name, status in self.state.commands.items()}})

    async def _status(self, request: web.Request, _: str) -> web.Response:
        command = request.match_info["command"]
        if "/" not in command:
            return web.Response(status=404, text="Not Found")
        if command not in self.state.commands:
            raise Refusal("Command not found", code=40400)
        return _respond(self.state.commands[command])


def execute_all(state: State, text: str) -> list[Entity]:
    """Execute statements one by one, without a trial. Raises `Refusal`."""
    return [_execute(state, statement) for statement in _parsed(text)]


def _parsed(text: str) -> list[str]:
    """The statements of a request, without comments. All are parsed before the first is looked at."""
    statements = []
    try:
        for tokens in split_tokens(text):
            statements.append(clean(tokens))
            parse(tokens)
    except LexError as error:
        raise Refusal(f"line {error.line}:{error.column}: Syntax Error\n{error}", text) from None
    except SyntaxRefusal as refusal:
        raise Refusal(refusal.message, statements[-1]) from None
    return statements


def _broken_response(kind: str, text: str) -> web.Response | None:
    """The response of a fault; None if the request gets its usual one."""
    status, refusal = {
        "503": (503, Refusal("not now", code=50304)),
        "429": (429, Refusal("not now", code=42900)),
        "error": (500, Refusal("Could not write the statement into the command topic.", text, code=50000)),
        "closed": (500, Refusal("Worker executor closed", code=50000)),
        "401": (401, Refusal("Unauthorized", code=40100)),
        "refuse": (400, Refusal('line 1:1: Syntax Error\n"minutes" is a reserved keyword', text)),
    }.get(kind, (0, Refusal("")))
    if not status or (kind == "refuse" and "CREATE" not in text):
        return None
    return web.json_response(refusal.body, status=status, headers={"Retry-After": "0.1"} if kind == "429" else {})


def _with_variables(body: Entity) -> str:
    """The text with the variables of the session and of its own DEFINEs replaced."""
    values = {str(name): str(value) for name, value in (body.get("sessionVariables") or {}).items()}
    text = str(body["ksql"])
    values |= dict(re.findall(r"(?i)\bDEFINE\s+(\w+)\s*=\s*'([^']*)'", text))
    try:
        return substitute(text, values)
    except LexError as error:
        raise Refusal(str(error), text, code=50000) if "${" in text else error from None


def _execute(state: State, statement: str) -> Entity:
    asked = answer(state, statement) if not _is_insert_select(statement) else None
    if asked is not None:
        return asked
    try:
        done = execute(state, statement)
    except LexError as error:
        raise Refusal(f"line {error.line}:{error.column}: Syntax Error", statement) from None
    if done is not None:
        return done
    first = statement.split(maxsplit=1)[0].upper()
    if first in SETTINGS:
        return {}
    if first in {"SELECT", "PRINT"}:
        message = "The following statement types should be issued to the websocket endpoint '/query': PRINT, SELECT"
        raise Refusal(message, statement, code=40002)
    raise Refusal(f"line 1:1: Syntax Error\nUnknown statement '{first}'", statement)


def _is_insert_select(statement: str) -> bool:
    words = statement.upper().split()
    return words[:2] == ["INSERT", "INTO"] and "SELECT" in words


def _check_properties(properties: dict[str, Any], statement: str) -> None:
    for name, value in properties.items():
        bare = name.removeprefix("ksql.streams.")
        if name == "ksql.service.id":
            message = f"One or more properties overrides set locally are prohibited by the KSQL server: [{name}]"
            raise Refusal(message, code=40000)
        if not name.startswith(PREFIXES) and not bare.startswith(PREFIXES):
            message = f"Not recognizable as ksql, streams, consumer, or producer property: '{name}'"
            raise Refusal(message, statement, code=50000)
        if bare == "auto.offset.reset" and value not in {"earliest", "latest"}:
            raise Refusal(f"Failed to coerce type of value '{value}' for key '{bare}'", code=40000)


def _json(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise Refusal(f"Invalid JSON in request: {error}", code=40000) from None


def _respond(body: Any) -> web.Response:
    return web.json_response(body)


def _cut(request: web.Request) -> None:
    """Abort the connection without a response."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError
