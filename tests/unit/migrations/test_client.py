"""The ksqlDB client against a real server on real HTTP: what it sends, how often, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trustme

from app.errors import SettingsError
from migrations.errors import KsqlDbError, MigrationError, UnreachableError
from migrations.server import registry
from migrations.server.client import SENTINEL, KsqlClient, ServerInfo
from migrations.server.responses import retry_after
from tests.support.waiting import until
from tests.support.worker import free_port
from tests.unit.migrations.scripted_server import (
    Handler,
    command_status,
    disconnect,
    error_response,
    json_response,
    scripted,
    text_response,
    trickle,
)

CREATE = "CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"
EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}
EMPTY = json_response(
    [
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "type_list", "types": {}},
    ]
)
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


# ---- what is sent again, and what is not


@pytest.mark.parametrize("status", [429, 503])
async def test_a_statement_that_was_not_accepted_is_sent_again(status: int) -> None:
    busy = error_response(status * 100 + 1, "not now")
    async with scripted(busy, busy, command_status("S", 8)) as server, KsqlClient(server.url) as client:
        assert (await client.execute(CREATE, {})).sequence == 8
    assert len(server.requests) == 3


async def test_a_retry_waits_for_the_time_in_retry_after() -> None:
    busy = json_response({"@type": "generic_error", "error_code": 42900, "message": "too many"}, 429, Retry_After="1")
    async with scripted(busy, command_status("S", 8)) as server, KsqlClient(server.url) as client:
        await client.execute(CREATE, {})
    first, second = server.requests
    assert second.at - first.at >= 1.0


async def test_a_retry_after_beyond_the_time_limit_raises_the_error_at_once() -> None:
    busy = json_response({"@type": "generic_error", "error_code": 42900, "message": "too many"}, 429, Retry_After="3600")
    async with scripted(busy) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="42900: too many"):
            await client.execute(CREATE, {})
    assert len(server.requests) == 1


@pytest.mark.parametrize("silence", [disconnect, trickle])
async def test_a_statement_without_a_response_is_not_sent_twice(silence: Handler) -> None:
    async with scripted(silence, command_status("S", 8)) as server, KsqlClient(server.url, read_seconds=0.3) as client:
        with pytest.raises(UnreachableError, match=server.url):
            await client.execute(CREATE, {})
    assert server.texts == [CREATE]


@pytest.mark.parametrize("status", [500, 502, 503, 504])  # 503: not from ksqlDB, whose own have an error_code
async def test_a_statement_with_a_server_error_is_not_sent_twice(status: int) -> None:
    async with (
        scripted(text_response("<h1>Bad Gateway</h1>", status), command_status("S", 8)) as server,
        KsqlClient(server.url) as client,
    ):
        with pytest.raises(KsqlDbError, match="Bad Gateway") as raised:
            await client.execute(CREATE, {})
    assert raised.value.code == status * 100  # as of an error of the server's own: says nothing about the statement
    assert len(server.requests) == 1


@pytest.mark.parametrize("silence", [disconnect, error_response(50302, "KSQL is not yet ready to serve requests.")])
async def test_a_request_that_changes_nothing_is_sent_again_after_every_failure(silence: Handler) -> None:
    async with scripted(silence, silence, EMPTY) as server, KsqlClient(server.url) as client:
        assert (await client.catalog()).sources == {}
    assert len(server.requests) == 3


async def test_a_statement_waits_until_the_server_starts() -> None:
    port = free_port()
    async with KsqlClient(f"http://127.0.0.1:{port}") as client:
        executing = asyncio.create_task(client.execute(CREATE, {}))
        await until(lambda: client.requests, what="a first try")
        async with scripted(command_status("S", 8), port=port) as server:
            assert (await executing).sequence == 8
    assert server.texts == [CREATE]
    assert client.requests > 1


async def test_the_error_of_an_unreachable_server_names_its_address() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with KsqlClient(url, try_seconds=0.3) as client:
        with pytest.raises(UnreachableError, match=f"ksqlDB at {url}"):
            await client.info()


def test_retry_after_is_a_number_or_a_date_and_nothing_else() -> None:
    def parsed(text: str) -> float | None:
        return retry_after(httpx.Response(503, headers=[(b"Retry-After", text.encode())]))

    assert parsed("7") == 7.0
    date = parsed(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert date is not None
    assert 3_500 < date <= 3_600
    assert parsed("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    for nonsense in ("", "soon", "-1", "²", "Wed, 21 Oct 2015 07:28:00"):  # a digit that is no number
        assert parsed(nonsense) is None
    assert retry_after(httpx.Response(503)) is None


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


# ---- checking without running


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


# ---- questions


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


# ---- who we are, and whom we trust


async def test_every_request_has_the_user_and_password() -> None:
    async with scripted(EMPTY) as server, KsqlClient(server.url, user="me", password="pä:ss") as client:
        await client.catalog()
    kind, _, token = server.requests[0].headers["Authorization"].partition(" ")
    assert (kind, base64.b64decode(token).decode()) == ("Basic", "me:pä:ss")


async def test_a_certificate_is_checked_against_the_given_ca(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    async with scripted(EMPTY, tls=context) as server:
        async with KsqlClient(server.url, ca_file=str(ca_file)) as client:
            assert (await client.catalog()).sources == {}
        async with KsqlClient(server.url) as client:
            with pytest.raises(SettingsError, match=r"certificate is not trusted .* set ksqldb_ca_file"):
                await client.catalog()
            assert client.requests == 1  # it would not be trusted the next time either
    assert len(server.requests) == 1


def test_a_ca_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match=f"ksqldb_ca_file={path}: not a file of PEM certificates"):
            KsqlClient("https://127.0.0.1:1", ca_file=str(path))


# ---- Schema Registry


async def test_schema_registry_is_checked_by_its_subjects_and_ids() -> None:
    unknown = json_response({"error_code": 40403, "message": "Schema 1 not found"}, 404)
    async with scripted(json_response(["ticks-value", "bars-value"]), unknown) as server:
        assert await registry.check_registry(server.url) == registry.Registry(subjects=2, by_id=True)
    assert [request.path for request in server.requests] == ["/subjects", "/schemas/ids/1"]
    assert await registry.check_registry("") is None


@pytest.mark.parametrize("answer", [text_response("", 500), text_response("<html>"), disconnect])
async def test_the_error_of_a_failing_schema_registry_names_its_address(answer: Handler) -> None:
    async with scripted(answer) as server:
        with pytest.raises(UnreachableError, match=f"Schema Registry at {server.url}"):
            await registry.check_registry(server.url)
