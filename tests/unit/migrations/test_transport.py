"""Connections to ksqlDB over real HTTP: retries, authentication, TLS, and Schema Registry."""

from __future__ import annotations

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trustme

from app.errors import SettingsError
from app.https import Identity
from app.settings.ksqldb import headers_of
from migrations.errors import KsqlDbError, UnreachableError
from migrations.server import registry
from migrations.server.client import KsqlClient
from migrations.server.responses import retry_after
from tests.support.ports import free_port
from tests.support.waiting import until
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
EMPTY = json_response(
    [
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "source_descriptions", "sourceDescriptions": []},
        {"@type": "type_list", "types": {}},
    ]
)


# ---- retries


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


@pytest.mark.parametrize("status", [500, 502, 503, 504])  # 503 without an error_code: not from ksqlDB
async def test_a_statement_with_a_server_error_is_not_sent_twice(status: int) -> None:
    async with (
        scripted(text_response("<h1>Bad Gateway</h1>", status), command_status("S", 8)) as server,
        KsqlClient(server.url) as client,
    ):
        with pytest.raises(KsqlDbError, match="Bad Gateway") as raised:
            await client.execute(CREATE, {})
    assert raised.value.code == status * 100  # a server error, which is not about the statement
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


async def test_the_error_of_an_unreachable_server_names_its_address_and_a_remedy() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with KsqlClient(url, try_seconds=0.3) as client:
        with pytest.raises(UnreachableError, match=f"ksqlDB at {url}: .*; .* ksqldb_url is its address"):
            await client.info()


async def test_the_error_of_an_unreachable_registry_names_its_address_and_a_remedy() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match=f"Schema Registry at {url}: .*; .* schema_registry_url is its address"):
        await registry.check_registry(url)


def test_retry_after_is_a_number_or_a_date_and_nothing_else() -> None:
    def parsed(text: str) -> float | None:
        return retry_after(httpx.Response(503, headers=[(b"Retry-After", text.encode())]))

    assert parsed("7") == 7.0
    date = parsed(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert date is not None
    assert 3_500 < date <= 3_600
    assert parsed("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    for nonsense in ("", "soon", "-1", "²", "Wed, 21 Oct 2015 07:28:00"):  # "²" is a digit, but no number
        assert parsed(nonsense) is None
    assert retry_after(httpx.Response(503)) is None


# ---- authentication and TLS


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
            assert client.requests == 1  # without a retry, which would fail too
    assert len(server.requests) == 1


def test_a_ca_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match=f"ksqldb_ca_file={path}: not a file of PEM certificates"):
            KsqlClient("https://127.0.0.1:1", ca_file=str(path))


async def test_our_own_certificate_and_headers_are_shown(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ca_file, cert_file, key_file = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca_file)
    own = authority.issue_cert("me")
    own.cert_chain_pems[0].write_to_path(cert_file)
    own.private_key_pem.write_to_path(key_file)
    identity = Identity(str(cert_file), str(key_file), headers_of("X-Api-Key: a b:c ;X-Tenant:fx; "))
    async with scripted(EMPTY, tls=context) as server:
        async with KsqlClient(server.url, ca_file=str(ca_file), identity=identity) as client:
            assert (await client.catalog()).sources == {}
        async with KsqlClient(server.url, ca_file=str(ca_file), try_seconds=0.1) as client:
            with pytest.raises(UnreachableError):
                await client.catalog()
    (request,) = server.requests
    assert (request.headers["X-Api-Key"], request.headers["X-Tenant"]) == ("a b:c", "fx")


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    missing = Identity(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    with pytest.raises(SettingsError, match=r"ksqldb_cert_file=.*cert.pem and ksqldb_key_file=.*key.pem: no PEM certificate"):
        KsqlClient("https://127.0.0.1:1", identity=missing)


@pytest.mark.parametrize("text", ["x", "a b: c", "a: b\nc: d", ": x"])
def test_headers_that_are_none_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must look like `Name: value; Name: value`$"):
        headers_of(text)


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
