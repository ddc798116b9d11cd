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
from tests.unit.migrations.scripted_server import Answer, answering, done, hangs_up, raw, refuses, says, trickles

CREATE = "CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"
EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}
EMPTY = says(
    [
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "type_list", "types": {}},
    ]
)
NO_QUERY = refuses(40001, f"Query with id:{SENTINEL} does not exist, use SHOW QUERIES", f"EXPLAIN {SENTINEL};")
ROWS = "application/vnd.ksqlapi.delimited.v1"


# ---- statements


async def test_a_statement_goes_out_with_its_properties_and_after_the_one_before_it() -> None:
    async with answering(done("S", 8), done("S2", 10)) as server, KsqlClient(server.url) as client:
        first = await client.execute(CREATE, EARLIEST)
        second = await client.execute(CREATE, EARLIEST, first.sequence)
    assert (first.command, first.sequence, first.message, first.query_id) == ("stream/`S`/create", 8, "Stream created", "")
    assert second.sequence == 10
    assert [asked.body for asked in server.asked] == [
        {"ksql": CREATE, "streamsProperties": EARLIEST},
        {"ksql": CREATE, "streamsProperties": EARLIEST, "commandSequenceNumber": 8},
    ]
    headers = server.asked[0].headers
    assert (headers["Accept"], headers["Content-Type"]) == ("application/vnd.ksql.v1+json",) * 2


async def test_a_statement_that_is_not_final_yet_is_waited_for() -> None:
    late = [done("S", 8, "QUEUED", "Statement written"), says({"status": "EXECUTING", "message": "", "queryId": None})]
    final = says({"status": "SUCCESS", "message": "Created query with ID CSAS_S_7", "queryId": "CSAS_S_7"})
    async with answering(*late, final) as server, KsqlClient(server.url) as client:
        executed = await client.execute(CREATE, {})
    assert (executed.query_id, executed.message) == ("CSAS_S_7", "Created query with ID CSAS_S_7")
    assert [(asked.method, asked.path) for asked in server.asked[1:]] == [("GET", "/status/stream/%60S%60/create")] * 2


async def test_a_statement_that_failed_after_it_was_taken_is_an_error() -> None:
    failed = done("S", 8, "ERROR", "Topic t does not exist")
    async with answering(failed) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="Topic t does not exist") as raised:
            await client.execute(CREATE, {})
    assert raised.value.statement == CREATE


async def test_a_server_that_forgot_a_statement_leaves_its_outcome_unknown() -> None:
    unknown = says({"@type": "generic_error", "error_code": 40400, "message": "Command not found"}, 404)
    async with answering(done("S", 8, "QUEUED"), unknown) as server, KsqlClient(server.url) as client:
        with pytest.raises(UnreachableError, match="was it restarted"):
            await client.execute(CREATE, {})


async def test_that_something_of_this_name_exists_already_is_a_warning() -> None:
    told = "Cannot add stream `S`: A stream with the same name already exists."
    warning = says([{"@type": "warning_entity", "statementText": CREATE, "message": told}])
    async with answering(warning) as server, KsqlClient(server.url) as client:
        executed = await client.execute(CREATE, {})
    assert (executed.warning, executed.sequence) == (told, -1)


# ---- what is sent again, and what is not


@pytest.mark.parametrize("status", [429, 503])
async def test_a_statement_that_was_not_taken_is_sent_again(status: int) -> None:
    busy = refuses(status * 100 + 1, "not now")
    async with answering(busy, busy, done("S", 8)) as server, KsqlClient(server.url) as client:
        assert (await client.execute(CREATE, {})).sequence == 8
    assert len(server.asked) == 3


async def test_a_server_that_says_when_to_come_again_is_left_alone_until_then() -> None:
    busy = says({"@type": "generic_error", "error_code": 42900, "message": "too many"}, 429, Retry_After="1")
    async with answering(busy, done("S", 8)) as server, KsqlClient(server.url) as client:
        await client.execute(CREATE, {})
    first, second = server.asked
    assert second.at - first.at >= 1.0


async def test_a_server_that_wants_to_be_left_alone_for_longer_than_we_try_is_an_error_at_once() -> None:
    busy = says({"@type": "generic_error", "error_code": 42900, "message": "too many"}, 429, Retry_After="3600")
    async with answering(busy) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="42900: too many"):
            await client.execute(CREATE, {})
    assert len(server.asked) == 1


@pytest.mark.parametrize("silence", [hangs_up, trickles])
async def test_a_statement_without_an_answer_is_not_sent_twice(silence: Answer) -> None:
    async with answering(silence, done("S", 8)) as server, KsqlClient(server.url, read_seconds=0.3) as client:
        with pytest.raises(UnreachableError, match=server.url):
            await client.execute(CREATE, {})
    assert server.texts == [CREATE]


@pytest.mark.parametrize("status", [500, 502, 503, 504])  # 503: not from ksqlDB, whose own have an error_code
async def test_a_statement_that_ended_in_a_server_error_is_not_sent_twice(status: int) -> None:
    async with answering(raw("<h1>Bad Gateway</h1>", status), done("S", 8)) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="Bad Gateway") as raised:
            await client.execute(CREATE, {})
    assert raised.value.code == status * 100  # as of an error of the server's own: says nothing about the statement
    assert len(server.asked) == 1


@pytest.mark.parametrize("silence", [hangs_up, refuses(50302, "KSQL is not yet ready to serve requests.")])
async def test_a_question_without_an_answer_is_asked_again(silence: Answer) -> None:
    async with answering(silence, silence, EMPTY) as server, KsqlClient(server.url) as client:
        assert (await client.catalog()).sources == {}
    assert len(server.asked) == 3


async def test_a_statement_waits_for_a_server_that_is_still_to_be_started() -> None:
    port = free_port()
    async with KsqlClient(f"http://127.0.0.1:{port}") as client:
        executing = asyncio.create_task(client.execute(CREATE, {}))
        await until(lambda: client.requests, what="a first try")
        async with answering(done("S", 8), port=port) as server:
            assert (await executing).sequence == 8
    assert server.texts == [CREATE]
    assert client.requests > 1


async def test_a_server_that_is_not_there_is_an_error_that_names_it() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with KsqlClient(url, try_seconds=0.3) as client:
        with pytest.raises(UnreachableError, match=f"ksqlDB at {url}"):
            await client.info()


def test_retry_after_reads_seconds_and_dates_and_nothing_else() -> None:
    def said(text: str) -> float | None:
        return retry_after(httpx.Response(503, headers=[(b"Retry-After", text.encode())]))

    assert said("7") == 7.0
    date = said(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert date is not None
    assert 3_500 < date <= 3_600
    assert said("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    for nonsense in ("", "soon", "-1", "²", "Wed, 21 Oct 2015 07:28:00"):  # a digit that is no number
        assert said(nonsense) is None
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
async def test_a_refusal_has_code_statement_and_place(code: int, message: str, line: int | None, column: int | None) -> None:
    async with answering(refuses(code, message, "SELECT rewritten;")) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError) as raised:
            await client.execute(CREATE, {})
    error = raised.value
    assert (error.code, error.text, error.statement, error.line, error.column) == (code, message, CREATE, line, column)
    assert str(error).startswith(f"ksqlDB error {code}: {message[:9]}")
    assert "\n" not in str(error)


async def test_a_missing_user_is_said_with_the_settings_to_look_at() -> None:
    async with answering(raw("", 401)) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="40100: Unauthorized; check ksqldb_user and ksqldb_password"):
            await client.catalog()


# ---- checking without running


async def test_statements_are_checked_together_with_a_last_one_that_fails() -> None:
    async with answering(NO_QUERY) as server, KsqlClient(server.url) as client:
        await client.validate([CREATE, "CREATE TYPE x AS STRUCT<a INT>;"], EARLIEST)
    assert server.texts == [f"{CREATE}\nCREATE TYPE x AS STRUCT<a INT>;\nEXPLAIN {SENTINEL};"]


async def test_the_place_of_an_error_is_counted_in_the_statement_that_it_is_in() -> None:
    texts = ["CREATE TYPE a AS\n STRUCT<a INT>;", "CREATE STREAM b\n AS SELECT\n nope FROM c;", CREATE]
    found = refuses(40001, "Line: 5, Col: 2: SELECT column 'NOPE' cannot be resolved.", "CREATE STREAM B ...")
    async with answering(found) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="line 3:2: SELECT column") as raised:
            await client.validate(texts, {})
    assert (raised.value.statement, raised.value.line, raised.value.column) == (texts[1], 3, 2)


async def test_an_error_of_the_plan_is_not_taken_for_that_of_the_last_statement() -> None:
    other = refuses(40001, "Query with id:OTHER does not exist, use SHOW QUERIES", "EXPLAIN other;")
    async with answering(other) as server, KsqlClient(server.url) as client:
        with pytest.raises(KsqlDbError, match="OTHER does not exist"):
            await client.validate(["EXPLAIN other;"], {})


async def test_a_check_that_passes_the_last_statement_checked_nothing() -> None:
    async with answering(says([])) as server, KsqlClient(server.url) as client:
        with pytest.raises(MigrationError, match=f"has a query named {SENTINEL}"):
            await client.validate([CREATE], {})


# ---- questions


async def test_rows_come_by_column_with_every_digit() -> None:
    text = '{"queryId":"q","columnNames":["SYMBOL","C","N"],"columnTypes":["STRING","DECIMAL(18, 8)","BIGINT"]}\n'
    text += '["EURUSD",1.10000000000000000001,7]\n["GBPUSD",null,1]\n'
    async with answering(raw(text, Content_Type=ROWS)) as server, KsqlClient(server.url) as client:
        rows = await client.query("SELECT * FROM q;")
    expected = [("EURUSD", Decimal("1.10000000000000000001"), 7), ("GBPUSD", None, 1)]
    assert rows == [dict(zip(("SYMBOL", "C", "N"), row, strict=True)) for row in expected]
    (asked,) = server.asked
    assert (asked.path, asked.body) == ("/query-stream", {"sql": "SELECT * FROM q;", "properties": {}})
    assert asked.headers["Accept"] == ROWS


async def test_a_query_that_is_refused_or_breaks_off_is_an_error() -> None:
    broken = '{"queryId":"q","columnNames":["A"],"columnTypes":["BIGINT"]}\n[1]\n'
    broken += '{"@type":"generic_error","error_code":50000,"message":"Worker executor closed"}\n'
    answers = refuses(40001, "NOPE does not exist."), raw(broken, Content_Type=ROWS)
    async with answering(*answers) as server, KsqlClient(server.url) as client:
        for said in ("NOPE does not exist", "Worker executor closed"):
            with pytest.raises(KsqlDbError, match=said):
                await client.query("SELECT * FROM nope;")


async def test_a_server_gives_an_account_of_itself() -> None:
    told = {"version": "7.5.0", "kafkaClusterId": "c", "ksqlServiceId": "s_", "serverStatus": "RUNNING"}
    answers = says({"KsqlServerInfo": told}), says({"isHealthy": False, "details": {}})
    async with answering(*answers) as server, KsqlClient(server.url + "/") as client:
        assert await client.info() == ServerInfo("7.5.0", "c", "s_", "RUNNING")
        assert not await client.healthy()
    assert [asked.path for asked in server.asked] == ["/info", "/healthcheck"]


@pytest.mark.parametrize(
    "answer",
    [
        raw("<html>hello</html>", Content_Type="text/html"),
        raw("", 302, Location="https://elsewhere.example/"),
        raw("", 204),
        says({"hello": "world"}),
    ],
)
async def test_an_address_that_leads_elsewhere_is_not_a_server_that_has_nothing(answer: Answer) -> None:
    async with answering(answer) as server, KsqlClient(server.url) as client:
        for ask in (client.catalog(), client.execute(CREATE, {}), client.query("SELECT 1;")):
            with pytest.raises(MigrationError, match="a ksqlDB server"):
                await ask


@pytest.mark.parametrize("said", [[], [{"@type": "source_descriptions", "sourceDescriptions": []}]])
async def test_an_answer_that_is_not_a_whole_catalogue_is_not_taken_for_an_empty_one(said: list[object]) -> None:
    async with answering(says(said)) as server, KsqlClient(server.url) as client:
        with pytest.raises(MigrationError, match="when asked for streams, tables and types"):
            await client.catalog()


async def test_a_catalogue_of_another_make_is_an_error_of_ours_and_no_traceback() -> None:
    said = [
        {"@type": "source_descriptions", "sourceDescriptions": [{"name": "A"}]},
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "type_list", "types": {}},
    ]
    async with answering(says(said)) as server, KsqlClient(server.url) as client:
        with pytest.raises(MigrationError, match="in a form that is not known here"):
            await client.catalog()


# ---- who we are, and whom we trust


async def test_user_and_password_go_with_every_request() -> None:
    async with answering(EMPTY) as server, KsqlClient(server.url, user="me", password="pä:ss") as client:
        await client.catalog()
    kind, _, token = server.asked[0].headers["Authorization"].partition(" ")
    assert (kind, base64.b64decode(token).decode()) == ("Basic", "me:pä:ss")


async def test_a_certificate_is_checked_against_the_ca_that_was_named(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    async with answering(EMPTY, tls=context) as server:
        async with KsqlClient(server.url, ca_file=str(ca_file)) as client:
            assert (await client.catalog()).sources == {}
        async with KsqlClient(server.url) as client:
            with pytest.raises(SettingsError, match=r"certificate is not trusted .* set ksqldb_ca_file"):
                await client.catalog()
            assert client.requests == 1  # it would not be trusted the next time either
    assert len(server.asked) == 1


def test_a_file_that_holds_no_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match=f"ksqldb_ca_file={path}: not a file of PEM certificates"):
            KsqlClient("https://127.0.0.1:1", ca_file=str(path))


# ---- Schema Registry


async def test_a_schema_registry_is_asked_for_subjects_and_ids() -> None:
    unknown = says({"error_code": 40403, "message": "Schema 1 not found"}, 404)
    async with answering(says(["ticks-value", "bars-value"]), unknown) as server:
        assert await registry.check_registry(server.url) == registry.Registry(subjects=2, by_id=True)
    assert [asked.path for asked in server.asked] == ["/subjects", "/schemas/ids/1"]
    assert await registry.check_registry("") is None


@pytest.mark.parametrize("answer", [raw("", 500), raw("<html>"), hangs_up])
async def test_a_schema_registry_that_does_not_answer_well_is_named(answer: Answer) -> None:
    async with answering(answer) as server:
        with pytest.raises(UnreachableError, match=f"Schema Registry at {server.url}"):
            await registry.check_registry(server.url)
