"""The ksqlDB client over real HTTP: requests, results and errors."""

from __future__ import annotations

from decimal import Decimal

import pytest

from migrations.errors import KsqlDbError, MigrationError, UnreachableError
from migrations.server import client as client_module
from migrations.server.client import SENTINEL, KsqlClient, ServerInfo
from tests.unit.migrations.scripted_server import (
    Handler,
    command_status,
    error_response,
    json_response,
    scripted,
    text_response,
)

CREATE = "CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"
EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}
NO_QUERY = error_response(40001, f"Query with id:{SENTINEL} does not exist, use SHOW QUERIES", f"EXPLAIN {SENTINEL};")
ROWS = "application/vnd.ksqlapi.delimited.v1"


# ---- statements


async def test_a_statement_is_sent_with_its_properties_and_the_sequence_number_of_the_one_before() -> None:
    async with scripted(command_status("S", 8), command_status("S2", 10)) as server, KsqlClient(server.url) as client:
        first = await client.execute(CREATE, EARLIEST)
        second = await client.execute(CREATE, EARLIEST, first.sequence)
    assert (first.command, first.sequence, first.message, first.query_id) == ("stream/`S`/create", 8, "Stream created", "")
    assert second.sequence == 10
    assert [request.body for request in server.requests] == [
        {"ksql": CREATE, "streamsProperties": EARLIEST},
        {"ksql": CREATE, "streamsProperties": EARLIEST, "commandSequenceNumber": 8},
    ]
    headers = server.requests[0].headers
    assert (headers["Accept"], headers["Content-Type"]) == ("application/vnd.ksql.v1+json",) * 2


async def test_the_final_status_of_a_statement_is_awaited() -> None:
    late = [
        command_status("S", 8, "QUEUED", "Statement written"),
        json_response({"status": "EXECUTING", "message": "", "queryId": None}),
    ]
    final = json_response({"status": "SUCCESS", "message": "Created query with ID CSAS_S_7", "queryId": "CSAS_S_7"})
    async with scripted(*late, final) as server, KsqlClient(server.url) as client:
        executed = await client.execute(CREATE, {})
    assert (executed.query_id, executed.message) == ("CSAS_S_7", "Created query with ID CSAS_S_7")
    assert [(request.method, request.path) for request in server.requests[1:]] == [("GET", "/status/stream/%60S%60/create")] * 2


async def test_a_statement_that_fails_after_it_was_accepted_raises_an_error() -> None:
    failed = command_status("S", 8, "ERROR", "Topic t does not exist")
    async with scripted(failed) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="Topic t does not exist") as raised:
            await client.execute(CREATE, {})
    assert raised.value.statement == CREATE


async def test_the_outcome_is_unknown_if_the_server_forgot_the_statement() -> None:
    unknown = json_response({"@type": "generic_error", "error_code": 40400, "message": "Command not found"}, 404)
    async with scripted(command_status("S", 8, "QUEUED"), unknown) as server, KsqlClient(server.url) as client:
        with pytest.raises(UnreachableError, match="was it restarted"):
            await client.execute(CREATE, {})


async def test_an_object_that_exists_already_is_a_warning() -> None:
    message = "Cannot add stream `S`: A stream with the same name already exists."
    warning = json_response([{"@type": "warning_entity", "statementText": CREATE, "message": message}])
    async with scripted(warning) as server, KsqlClient(server.url) as client:
        executed = await client.execute(CREATE, {})
    assert (executed.warning, executed.sequence) == (message, -1)


# ---- errors


@pytest.mark.parametrize(
    ("code", "message", "line", "column"),
    [
        (40001, "line 1:54: Syntax Error\nExpecting {',', ')'}", 1, 54),
        (
            40001,
            "Could not determine output schema for query due to error: Line: 2, Col: 117: SELECT column 'NOPE' ...",
            2,
            117,
        ),
        (40000, "Topic 'no.such.topic' does not exist.", None, None),
        (50000, "A Kafka topic with the name 't' already exists, with different partition/replica", None, None),
    ],
)
async def test_an_error_has_its_code_statement_and_position(
    code: int, message: str, line: int | None, column: int | None
) -> None:
    async with scripted(error_response(code, message, "SELECT rewritten;")) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError) as raised:
            await client.execute(CREATE, {})
    error = raised.value
    assert (error.code, error.text, error.statement, error.line, error.column) == (code, message, CREATE, line, column)
    assert str(error).startswith(f"ksqlDB error {code}: {message[:9]}")
    assert "\n" not in str(error)


async def test_a_response_401_names_the_settings_to_check() -> None:
    async with scripted(text_response("", 401)) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="40100: Unauthorized; check ksqldb_user and ksqldb_password"):
            await client.catalog()


# ---- validation


async def test_statements_are_validated_in_one_request_with_a_last_one_that_fails() -> None:
    async with scripted(NO_QUERY) as server, KsqlClient(server.url) as client:
        await client.validate([CREATE, "CREATE TYPE x AS STRUCT<a INT>;"], EARLIEST)
    assert server.texts == [f"{CREATE}\nCREATE TYPE x AS STRUCT<a INT>;\nEXPLAIN {SENTINEL};"]


async def test_the_position_of_an_error_is_relative_to_its_statement() -> None:
    texts = ["CREATE TYPE a AS\n STRUCT<a INT>;", "CREATE STREAM b\n AS SELECT\n nope FROM c;", CREATE]
    found = error_response(40001, "Line: 5, Col: 2: SELECT column 'NOPE' cannot be resolved.", "CREATE STREAM B ...")
    async with scripted(found) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="line 3:2: SELECT column") as raised:
            await client.validate(texts, {})
    assert (raised.value.statement, raised.value.line, raised.value.column) == (texts[1], 3, 2)


async def test_an_error_of_the_plan_is_distinguished_from_that_of_the_last_statement() -> None:
    other = error_response(40001, "Query with id:OTHER does not exist, use SHOW QUERIES", "EXPLAIN other;")
    async with scripted(other) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="OTHER does not exist"):
            await client.validate(["EXPLAIN other;"], {})


async def test_a_validation_that_accepts_the_last_statement_is_an_error() -> None:
    async with scripted(json_response([])) as server, KsqlClient(server.url) as client:
        with pytest.raises(MigrationError, match=f"has a query named {SENTINEL}"):
            await client.validate([CREATE], {})


# ---- queries


async def test_rows_have_column_names_and_exact_numbers() -> None:
    text = '{"queryId":"q","columnNames":["SYMBOL","C","N"],"columnTypes":["STRING","DECIMAL(18, 8)","BIGINT"]}\n'
    text += '["EURUSD",1.10000000000000000001,7]\n["GBPUSD",null,1]\n'
    async with scripted(text_response(text, Content_Type=ROWS)) as server, KsqlClient(server.url) as client:
        rows = await client.query("SELECT * FROM q;")
    expected = [("EURUSD", Decimal("1.10000000000000000001"), 7), ("GBPUSD", None, 1)]
    assert rows == [dict(zip(("SYMBOL", "C", "N"), row, strict=True)) for row in expected]
    (request,) = server.requests
    assert (request.path, request.body) == ("/query-stream", {"sql": "SELECT * FROM q;", "properties": {}})
    assert request.headers["Accept"] == ROWS


async def test_a_query_that_is_rejected_or_fails_midway_raises_an_error() -> None:
    broken = '{"queryId":"q","columnNames":["A"],"columnTypes":["BIGINT"]}\n[1]\n'
    broken += '{"@type":"generic_error","error_code":50000,"message":"Worker executor closed"}\n'
    answers = error_response(40001, "NOPE does not exist."), text_response(broken, Content_Type=ROWS)
    async with scripted(*answers) as server, KsqlClient(server.url) as client:
        for response in ("NOPE does not exist", "Worker executor closed"):
            with pytest.raises(KsqlDbError, match=response):
                await client.query("SELECT * FROM nope;")


async def test_a_table_that_cannot_answer_yet_is_asked_again_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client_module, "POLL_SECONDS", 0.01)
    head = '{"queryId":"q","columnNames":["A"],"columnTypes":["BIGINT"]}\n'
    cold = [
        "Unable to execute pull query. [Partition 0 failed to find valid host. Hosts scanned: []]",
        "Cannot determine which host contains the required partitions to serve the pull query.",
        "The query was not in a running state. state: REBALANCING",
        "State store currently unavailable: Aggregate",
    ]
    late = text_response(f'{head}{{"error_code":50000,"message":"{cold[3]}"}}\n', Content_Type=ROWS)
    answers = [*(error_response(40001, text) for text in cold[:3]), late, text_response(f"{head}[1]\n", Content_Type=ROWS)]
    async with scripted(*answers) as server, KsqlClient(server.url) as client:
        assert await client.query("SELECT * FROM q;") == [{"A": 1}]
    assert len(server.requests) == 5
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == f"{server.url}: SELECT * FROM q;: asking again for up to 30 s ({cold[0]})"
    monkeypatch.setattr(client_module, "COLD_SECONDS", 0.0)
    async with scripted(error_response(40001, cold[0])) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="failed to find valid host"):
            await client.query("SELECT * FROM q;")


async def test_info_and_health_are_read() -> None:
    message = {"version": "7.5.0", "kafkaClusterId": "c", "ksqlServiceId": "s_", "serverStatus": "RUNNING"}
    answers = json_response({"KsqlServerInfo": message}), json_response({"isHealthy": False, "details": {}})
    async with scripted(*answers) as server, KsqlClient(server.url + "/") as client:
        assert await client.info() == ServerInfo("7.5.0", "c", "s_", "RUNNING")
        assert not await client.healthy()
    assert [request.path for request in server.requests] == ["/info", "/healthcheck"]


@pytest.mark.parametrize(
    "answer",
    [
        text_response("<html>hello</html>", Content_Type="text/html"),
        text_response("", 302, Location="https://elsewhere.example/"),
        text_response("", 204),
        json_response({"hello": "world"}),
    ],
)
async def test_a_server_that_is_not_ksqldb_does_not_look_like_an_empty_one(answer: Handler) -> None:
    async with scripted(answer) as server, KsqlClient(server.url) as client:
        for ask in (client.catalog(), client.execute(CREATE, {}), client.query("SELECT 1;")):
            with pytest.raises(MigrationError, match="a ksqlDB server"):
                await ask


@pytest.mark.parametrize("response", [[], [{"@type": "source_descriptions", "sourceDescriptions": []}]])
async def test_an_incomplete_catalog_does_not_look_like_an_empty_one(response: list[object]) -> None:
    async with scripted(json_response(response)) as server, KsqlClient(server.url) as client:
        with pytest.raises(MigrationError, match="when asked for streams, tables and types"):
            await client.catalog()


async def test_a_catalog_in_an_unknown_form_raises_a_migration_error() -> None:
    response = [
        {"@type": "source_descriptions", "sourceDescriptions": [{"name": "A"}]},
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "type_list", "types": {}},
    ]
    async with scripted(json_response(response)) as server, KsqlClient(server.url) as client:
        with pytest.raises(MigrationError, match="the catalog has an unknown form"):
            await client.catalog()
