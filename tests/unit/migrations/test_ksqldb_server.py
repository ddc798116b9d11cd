"""The stand-in ksqlDB responds to every recorded request in the recorded form. The tests of migrations rely on that."""

from __future__ import annotations

import json
import os
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.ksqldb_server.create import columns_of
from tests.ksqldb_server.faults import Condition
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.recorded import exchanges
from tests.ksqldb_server.rewriting import source_text
from tests.ksqldb_server.server import Server
from tests.ksqldb_server.state import State

DATA = Path(os.environ.get("BARWHEEL_TEST_DATA") or Path(__file__).parents[4] / "shared")
TRANSCRIPTS = DATA / "ksqldb" / "transcripts"
STATEMENTS = DATA / "ksqldb" / "8.3.1" / "dsl.jsonl"
pytestmark = pytest.mark.skipif(not TRANSCRIPTS.is_dir(), reason=f"no recorded exchanges in {TRANSCRIPTS}")

# responses that depend on a race, or on events outside of the recording
LINES_LEFT_OUT = {
    **{
        ("23_misc.jsonl", n): "the server had lost the producer of its command topic, and its statements"
        for n in (29, 30, 31, 33, 34)
    },
    ("08_errors.jsonl", 36): "it has two errors, and the server reports the other one",
    ("14_same_query_id_again.jsonl", 6): "sent while the TERMINATE before it was executing",
    ("14b_same_query_id_after_80s.jsonl", 2): "a consequence of that",
}
CLEAN_SERVER = {"25_final_set_clean_server.jsonl", "27_exactly_once_crash.jsonl", "28_teardown_in_order.jsonl"}
SLOW = {("12_lock_create_type.jsonl", 64), ("12b_lock_more_rounds.jsonl", 113)}  # one of twenty statements at once
RACES = {"12_lock_create_type.jsonl", "12b_lock_more_rounds.jsonl"}


def condition(name: str, line: int, status: int, code: int | None) -> Condition:
    """The condition of the server at this response, which the recording does not contain."""
    if (name, line) in SLOW:
        return Condition.slow
    if code == 50302:
        return Condition.starting
    if name == "22_starting_503.jsonl" and status == 400:
        return Condition.cold
    if name == "20_kafka_down.jsonl" and line <= 6:
        return Condition.kafka_away
    if status == 500 and (name in RACES or name == "20_kafka_down.jsonl"):
        return Condition.fenced
    return Condition.well


class Replay:
    """Replays exchanges against a stand-in, with its sequence numbers and query ids instead of the recorded ones."""

    def __init__(self, server: Server, client: TestClient[Any, Any]) -> None:
        self.server = server
        self.client = client
        self.sequences: dict[int, int] = {}
        self.queries: dict[str, str] = {}

    async def play(self, exchange: dict[str, Any]) -> tuple[Any, Any]:
        """The shapes of the recorded response and of the stand-in's."""
        request, recorded = exchange["request"], exchange["response"]
        body = request.get("body")
        if isinstance(body, dict):
            body = self._ours(body)
            if recorded["status"] == 200:
                await self._make_topics(str(body.get("ksql", "")))
        given = {"json": body} if isinstance(body, (dict, list)) else {"data": body or ""}
        path = self._named(request["path"])
        answer = await self.client.request(request["method"], path, headers=request.get("headers") or {}, **given)
        text = await answer.text()
        found = json.loads(text) if text.startswith(("{", "[")) and "\n" not in text.strip() else text
        self._note(recorded["body"], found)
        if path == "/query-stream":  # rows are not computed
            return recorded["status"], answer.status
        return (recorded["status"], shape(recorded["body"])), (answer.status, shape(found))

    def _ours(self, body: dict[str, Any]) -> dict[str, Any]:
        after = body.get("commandSequenceNumber")
        texts = {name: self._named(body[name]) for name in ("ksql", "sql") if isinstance(body.get(name), str)}
        return body | texts | ({"commandSequenceNumber": self.sequences.get(after, after)} if after is not None else {})

    def _named(self, text: str) -> str:
        for recorded, ours in self.queries.items():
            text = text.replace(recorded, ours)
        return text

    async def _make_topics(self, ksql: str) -> None:
        """Create the topics that a declared source expects to exist in Kafka."""
        for statement in ksql.split(";"):
            topic = re.search(r"KAFKA_TOPIC\s*=\s*'([^'$]+)'", statement)
            if topic and "PARTITIONS" not in statement and " AS SELECT" not in statement.upper():
                await self.client.post("/_topics", json={"name": topic[1], "partitions": 6})

    def _note(self, recorded: Any, found: Any) -> None:
        pairs = zip(recorded, found, strict=False) if isinstance(recorded, list) and isinstance(found, list) else ()
        for theirs, ours in pairs:
            if isinstance(theirs, dict) and isinstance(ours, dict) and "commandSequenceNumber" in ours:
                self.sequences[theirs.get("commandSequenceNumber", -1)] = ours["commandSequenceNumber"]
                name = (theirs.get("commandStatus") or {}).get("queryId")
                if name and (mine := ours["commandStatus"]["queryId"]):
                    self.queries[name] = mine


def shape(body: Any) -> Any:
    """The shape of a response: the type, code and fields of each entity."""
    if isinstance(body, list):
        return [shape(entity) for entity in body]
    if not isinstance(body, dict):
        return "text" if body else "nothing"
    status = (body.get("commandStatus") or {}).get("status")
    inner = {name: sorted(body[name]) for name in ("sourceDescription", "queryDescription", "KsqlServerInfo") if name in body}
    lists = {name: type(value).__name__ for name, value in body.items() if isinstance(value, (list, dict))}
    return body.get("@type"), body.get("error_code"), status in {"SUCCESS", "EXECUTING"}, sorted(body), inner, lists


async def start_replay(stack: AsyncExitStack) -> Replay:
    """A new stand-in."""
    server = Server(transcripts=TRANSCRIPTS)
    return Replay(server, await stack.enter_async_context(TestClient(TestServer(server.application()))))


@pytest.mark.slow
async def test_every_recorded_request_gets_an_answer_of_the_recorded_shape() -> None:
    differ: list[str] = []
    played = left_out = 0
    async with AsyncExitStack() as stack:
        replays = {clean: await start_replay(stack) for clean in (False, True)}
        for name, line, exchange in exchanges(TRANSCRIPTS):
            status = (exchange["response"] or {}).get("status")
            if status is None:  # no response: the connection was refused or reset, or timed out
                continue
            if (name, line) in LINES_LEFT_OUT:
                left_out += 1
                continue
            replay = replays[name in CLEAN_SERVER]
            replay.server.condition = condition(name, line, status, _code(exchange))
            recorded, found = await replay.play(exchange)
            played += 1
            if recorded != found:
                differ.append(f"{name}:{line} {exchange['request']}\n  recorded {recorded}\n  found    {found}")
    assert not differ, f"{len(differ)} of {played} differ\n" + "\n".join(differ)
    assert left_out == len(LINES_LEFT_OUT)
    assert played > 740


def _code(exchange: dict[str, Any]) -> int | None:
    body = exchange["response"]["body"]
    return body.get("error_code") if isinstance(body, dict) else None


SYNTAX = re.compile(r"line \d+:\d+: Syntax Error")


@pytest.mark.slow
async def test_every_recorded_statement_is_accepted_or_refused_as_by_the_server() -> None:
    """A syntax error is refused at the recorded position."""
    differ: list[str] = []
    refused = played = 0
    for line in STATEMENTS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        recorded = case["server"]
        if recorded is None or recorded.startswith("("):  # the server was not asked
            continue
        async with TestClient(TestServer(Server(version="8.3.1", registry=True).application())) as client:
            body = {"ksql": "\n".join([*case["statements"], "EXPLAIN NO_SUCH_QUERY;"]), "streamsProperties": {}}
            answer = await client.post("/ksql", json=body)
            message = (await answer.json())["message"]
        played += 1
        accepted = "Query with id:NO_SUCH_QUERY does not exist" in message
        refused += not accepted
        position = SYNTAX.match(recorded)
        if accepted != (recorded == "accepted") or (position and not message.startswith(position[0])):
            differ.append(f"{case['case']}: {case['statements'][-1]}\n  recorded {recorded}\n  found    {message}")
    assert not differ, f"{len(differ)} of {played} differ\n" + "\n".join(differ)
    assert (played > 340, refused > 120) == (True, True)


async def test_the_backslash_of_a_command_line_is_refused() -> None:
    """Its grammar does not have it: what a plan leaves out must not come back unseen."""
    async with TestClient(TestServer(Server().application())) as client:
        body = {"ksql": "CREATE TYPE a \\\n AS INT;", "streamsProperties": {}}
        answer = await (await client.post("/ksql", json=body)).json()
    assert (answer["error_code"], answer["message"].startswith("line 1:14: Syntax Error")) == (40001, True)


async def test_the_text_of_a_source_is_written_as_by_the_server() -> None:
    """The whole text of a declared source; of a query, its name and options."""
    compared = 0
    for name, line, exchange in exchanges(TRANSCRIPTS):
        body, answer = exchange["request"].get("body"), (exchange["response"] or {}).get("body")
        text = str(body.get("ksql", "")) if isinstance(body, dict) else ""
        if not isinstance(answer, list) or len(answer) != 1 or text.count(";") != 1:
            continue
        recorded = str(answer[0].get("statementText", ""))
        if not (recorded.startswith("CREATE ") and " WITH (CLEANUP_POLICY" in recorded):
            continue
        parsed = Parsed(text)
        kind = "TABLE" if "TABLE" in recorded.split("(", maxsplit=1)[0] else "STREAM"
        found = source_text(parsed, kind, 6, [] if parsed.tree.query else columns_of(State(), parsed))
        assert found.partition(" AS SELECT")[0] == recorded.partition(" AS SELECT")[0], (name, line)
        compared += 1
    assert compared > 30
