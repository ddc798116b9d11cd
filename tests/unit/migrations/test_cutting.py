"""The proxy that cuts connections goes to any address of a ksqlDB."""

from __future__ import annotations

import ssl

import pytest
import trustme

from migrations.errors import UnreachableError
from migrations.server.client import KsqlClient
from tests.support.cutting import cutting, endpoint
from tests.unit.migrations.scripted_server import json_response, scripted

DONE = {"@type": "currentStatus", "commandId": "a", "commandSequenceNumber": 1, "commandStatus": {"status": "SUCCESS"}}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://ksqldb", ("ksqldb", 80, False)),
        ("https://ksqldb.example/sql", ("ksqldb.example", 443, True)),
        ("http://localhost:8088", ("localhost", 8088, False)),
        ("https://[::1]:8443", ("::1", 8443, True)),
    ],
)
def test_an_address_may_leave_the_port_out(url: str, found: tuple[str, int, bool]) -> None:
    assert endpoint(url) == found


@pytest.mark.parametrize("secure", [False, True])
async def test_a_response_to_a_statement_is_cut_off_and_the_next_one_is_not(*, secure: bool) -> None:
    authority, own = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(own)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    left = [1]
    async with (
        scripted(json_response([DONE]), tls=own if secure else None) as server,
        cutting(server.url, left, trusted) as url,
        KsqlClient(url, try_seconds=1.0) as client,
    ):
        with pytest.raises(UnreachableError):
            await client.execute("CREATE TYPE a AS INT;", {})
        assert (await client.execute("CREATE TYPE a AS INT;", {})).sequence == 1
    assert (len(server.requests), left) == (2, [0])
