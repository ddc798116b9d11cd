"""The client of Schema Registry: what it asks, what it keeps, and the one line that each failure is."""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.errors import RegistryError, SettingsError
from app.registry.client import (
    IncompatibleSchemaError,
    Reference,
    RegistryAwayError,
    RegistryClient,
    Schema,
    UnknownSchemaError,
)
from app.registry.schemas import Schemas
from app.settings import Settings
from tests.support.schema_registry import RegistryServer, registry_url, running


def record(*fields: tuple[str, object], **more: object) -> str:
    described = [{"name": name, "type": kind, **({"default": more[name]} if name in more else {})} for name, kind in fields]
    return json.dumps({"type": "record", "name": "Tick", "fields": described})


ONE = record(("ts", "long"), ("bid", "double"))
WITH_QTY = record(("ts", "long"), ("bid", "double"), ("qty", ["null", "double"]), qty=None)
BROKEN = record(("ts", "long"), ("ask", "double"))


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    with registry_url() as url:
        async with RegistryClient(url) as found:
            yield found


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running() as found:
        yield found


@pytest.fixture
def subject() -> str:
    return f"barwheel-{uuid.uuid4()}-value"  # a real registry keeps those of former runs


async def test_a_registered_schema_is_found_by_its_id_and_as_a_version(client: RegistryClient, subject: str) -> None:
    number = await client.register(subject, Schema(ONE))
    assert await client.register(subject, Schema(ONE)) == number
    assert json.loads((await client.schema(number)).text) == json.loads(ONE)
    assert (await client.version(subject)).kind == "AVRO"
    assert await client.versions(subject) == [1]
    assert subject in await client.subjects()


async def test_compatibility_is_asked_for_and_a_schema_against_it_is_refused(client: RegistryClient, subject: str) -> None:
    await client.register(subject, Schema(ONE))
    assert await client.compatibility(subject) == "BACKWARD"
    assert await client.incompatibilities(subject, Schema(WITH_QTY)) is None
    problems = await client.incompatibilities(subject, Schema(BROKEN))
    assert problems
    assert "ask" in problems[0]
    with pytest.raises(IncompatibleSchemaError, match="answers 409 to /subjects/"):
        await client.register(subject, Schema(BROKEN))


@pytest.mark.parametrize(
    ("level", "old", "new", "compatible"),
    [
        ("BACKWARD", ONE, WITH_QTY, True),
        ("FORWARD", ONE, WITH_QTY, True),
        ("FULL", ONE, WITH_QTY, True),
        ("BACKWARD", record(("ts", "long")), ONE, False),
        ("FORWARD", record(("ts", "long")), ONE, True),
        ("BACKWARD", ONE, record(("ts", "long")), True),
        ("FORWARD", ONE, record(("ts", "long")), False),
        ("FULL", record(("ts", "long")), ONE, False),
        ("BACKWARD", record(("ts", "int")), record(("ts", "long")), True),
        ("FORWARD", record(("ts", "int")), record(("ts", "long")), False),
        ("NONE", ONE, BROKEN, True),
    ],
)
def test_the_stand_in_judges_as_the_rules_of_avro_say(
    server: RegistryServer,
    level: str,
    old: str,
    new: str,
    compatible: bool,  # noqa: FBT001  # a table
) -> None:
    body = json.dumps({"compatibility": level}).encode()
    assert server.answer("PUT", "/config/s", body, "")[0] == 200
    assert server.answer("POST", "/subjects/s/versions", json.dumps({"schema": old}).encode(), "")[0] == 200
    status, _ = server.answer("POST", "/subjects/s/versions", json.dumps({"schema": new}).encode(), "")
    assert status == (200 if compatible else 409)


async def test_what_there_is_not_is_named(client: RegistryClient, subject: str) -> None:
    with pytest.raises(UnknownSchemaError, match="answers 404 to /schemas/ids/987654: Schema 987654 not found"):
        await client.schema(987_654)
    with pytest.raises(UnknownSchemaError, match=subject):
        await client.version(subject)


async def test_a_schema_that_is_no_schema_is_refused_in_one_line(client: RegistryClient, subject: str) -> None:
    with pytest.raises(RegistryError, match="answers 422") as found:
        await client.register(subject, Schema('{"type": "recordx"}'))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, RegistryError, "refused with 401; check schema_registry_user and schema_registry_password"),
        (403, RegistryError, "refused with 403; check schema_registry_user"),
        (409, IncompatibleSchemaError, "refused with 409"),
        (500, RegistryAwayError, "refused with 500"),
        (503, RegistryAwayError, "refused with 503"),
        (302, RegistryError, "is schema_registry_url a Schema Registry?"),
    ],
)
async def test_each_refusal_is_one_line_with_the_address(
    server: RegistryServer, status: int, kind: type[RegistryError], said: str
) -> None:
    server.refuse = status
    async with RegistryClient(server.url, try_seconds=0) as client:
        with pytest.raises(kind) as found:
            await client.schema(1)
    assert said in str(found.value)
    assert str(found.value).startswith(f"Schema Registry at {server.url} answers {status} to /schemas/ids/1")
    assert type(found.value) is kind


async def test_a_registry_that_is_away_or_slow_is_said_so(server: RegistryServer) -> None:
    server.held.clear()
    async with RegistryClient(server.url, read_seconds=0.05, try_seconds=0) as client:
        with pytest.raises(RegistryAwayError, match=r"/schemas/ids/1: no complete response within 0.05 s"):
            await client.schema(1)
    server.stop()
    async with RegistryClient(server.url, try_seconds=0) as client:
        with pytest.raises(RegistryAwayError, match=f"Schema Registry at {server.url}: /subjects"):
            await client.subjects()


async def test_a_request_is_repeated_while_the_registry_is_busy(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.refuse = 503

    answer = server.answer

    def recovering(*request: Any) -> tuple[int, Any]:
        if len(server.asked) == 3:
            server.refuse = None
        return answer(*request)

    monkeypatch.setattr(server, "answer", recovering)
    async with RegistryClient(server.url) as client:
        assert await client.subjects() == []
    assert len(server.asked) == 4


async def test_user_and_password_are_sent() -> None:
    with running(user="me", password="secret") as server:
        settings = Settings.load(
            schema_registry_url=server.url, schema_registry_user="me", schema_registry_password="secret", _env_file=None
        )
        async with RegistryClient.of(settings) as client:
            assert await client.subjects() == []
        async with RegistryClient(server.url, user="me", password="wrong") as client:
            with pytest.raises(RegistryError, match="answers 401") as found:
                await client.subjects()
        assert "wrong" not in str(found.value)


async def test_tls_trusts_the_ca_that_is_set_and_no_other(tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with running(tls=context) as server:
        async with RegistryClient(server.url, ca_file=str(tmp_path / "ca.pem")) as client:
            assert await client.subjects() == []
        async with RegistryClient(server.url, try_seconds=0) as client:
            with pytest.raises(SettingsError, match=r"its certificate is not trusted .*schema_registry_ca_file"):
                await client.subjects()
    with pytest.raises(SettingsError, match=r"schema_registry_ca_file=.*nowhere.pem: not a file of PEM certificates"):
        RegistryClient("https://127.0.0.1:1", ca_file=str(tmp_path / "nowhere.pem"))


async def test_a_schema_comes_with_what_it_refers_to_and_is_asked_for_once(server: RegistryServer) -> None:
    price = json.dumps({"type": "record", "name": "Price", "fields": [{"name": "value", "type": "double"}]})
    quote = json.dumps({"type": "record", "name": "Quote", "fields": [{"name": "bid", "type": "Price"}]})
    tick = record(("ts", "long"), ("quote", "Quote"))
    async with RegistryClient(server.url) as client:
        await client.register("price", Schema(price))
        await client.register("quote", Schema(quote, references=[Reference("Price", "price", 1)]))
        number = await client.register("ticks-value", Schema(tick, references=[Reference("Quote", "quote", 1)]))
        schemas = Schemas(client)
        found = await schemas.get(number)
        guid = uuid.UUID(server.registry.guid(number)).bytes
        assert await schemas.get(guid) == found
        assert [name for name, _ in found.references] == ["Price", "Quote"]
        asked = len(server.asked)
        assert await schemas.get(number) is found
        assert len(server.asked) == asked
