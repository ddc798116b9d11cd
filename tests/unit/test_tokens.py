"""Bearer tokens for Kafka: fetched once, renewed in time; a refusal is told from a server that is away."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from app.errors import SettingsError
from app.kafka.cluster import client_options, faust_credentials, refusal
from app.kafka.tokens import USED, MskTokens, OAuthTokens, StrictAuthenticator, Tokens
from app.settings import Settings


class TokenServer:
    """An OAuth server that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer: tuple[int, Any] = (200, None)
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        user, _, secret = base64.b64decode(request.headers["Authorization"].split()[1]).decode().partition(":")
        self.asked.append({name: str(value) for name, value in form.items()} | {"user": user, "secret": secret})
        status, content = self.answer
        if content is None:
            content = {"access_token": f"token-{len(self.asked)}", "expires_in": 100}
        return web.json_response(content, status=status)


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    made, application = TokenServer(), web.Application()
    application.router.add_post("/token", made.token)
    async with TestServer(application) as running:
        made.url = str(running.make_url("/token"))
        yield made


def settings_for(url: str, **more: Any) -> Settings:
    sasl = {"broker": "127.0.0.1:9", "security_protocol": "sasl_plaintext", "sasl_mechanism": "oauthbearer"}
    oauth = {"oauth_token_url": url, "oauth_client_id": "feed", "oauth_client_secret": "correct horse"}
    return Settings.load(**{**sasl, **oauth, **more})


async def test_one_token_is_used_by_all_until_most_of_its_life_is_over(server: TokenServer) -> None:
    now = 1_000.0
    tokens = OAuthTokens(settings_for(server.url, oauth_scope="kafka"), lambda: now)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(20)))) == {"token-1"}
    assert server.asked == [{"grant_type": "client_credentials", "scope": "kafka", "user": "feed", "secret": "correct horse"}]
    now += 100 * USED - 1
    assert await tokens.token() == "token-1"
    now += 1
    assert await tokens.token() == "token-2"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((401, {"error": "invalid_client"}), AuthenticationFailedError, "answers 401 (invalid_client)"),
        ((400, {"error": "invalid_scope", "error_description": "no"}), AuthenticationFailedError, "(invalid_scope: no)"),
        ((200, {"token_type": "Bearer"}), AuthenticationFailedError, "answers without an access_token"),
        ((200, []), AuthenticationFailedError, "answers without an access_token"),
        ((503, {}), KafkaConnectionError, "answers 503"),
        ((429, {}), KafkaConnectionError, "answers 429"),
    ],
)
async def test_a_refusal_ends_the_connection_and_a_server_in_trouble_is_asked_again(
    server: TokenServer, answer: tuple[int, Any], kind: type[Exception], said: str
) -> None:
    server.answer = answer
    tokens = OAuthTokens(settings_for(server.url))
    with pytest.raises(kind) as raised:
        await tokens.token()
    assert f"oauth_token_url={server.url}" in str(raised.value)
    assert said in str(raised.value)
    assert "horse" not in str(raised.value)
    assert (refusal(raised.value, "a:1") is not None) is (kind is AuthenticationFailedError)
    server.answer = (200, None)
    assert (await tokens.token()).startswith("token-")


async def test_a_server_that_is_away_is_asked_again() -> None:
    with pytest.raises(KafkaConnectionError, match="does not answer"):
        await OAuthTokens(settings_for("http://127.0.0.1:9/token")).token()


async def test_a_refusal_by_the_broker_is_not_taken_for_consent() -> None:
    class Fixed(Tokens):
        def fetch(self) -> tuple[str, float]:
            return "abc", 60.0

    authenticator = StrictAuthenticator(sasl_oauth_token_provider=Fixed())
    first, _ = await authenticator.step(None)
    assert b"auth=Bearer abc" in first
    assert await authenticator.step(b"") is None
    refused = StrictAuthenticator(sasl_oauth_token_provider=Fixed())
    await refused.step(None)
    with pytest.raises(AuthenticationFailedError, match=r"the broker refused the token: \{.*invalid_token"):
        await refused.step(b'{"status":"invalid_token"}')


def test_every_client_gets_the_tokens() -> None:
    options = client_options(settings_for("http://127.0.0.1:9/token"))
    assert options["security_protocol"] == "SASL_PLAINTEXT"
    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert isinstance(options["sasl_oauth_token_provider"], OAuthTokens)
    assert faust_credentials(options).oauth_cb is options["sasl_oauth_token_provider"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oauth_client_secret": ""}, "sasl_mechanism=oauthbearer needs oauth_token_url, oauth_client_id and oauth_client"),
        ({"sasl_username": "me"}, "sasl_mechanism=oauthbearer sends no sasl_username and sasl_password"),
        ({"security_protocol": "plaintext"}, "uses no oauth_ settings: set sasl_mechanism=oauthbearer, or leave them out"),
        ({"sasl_mechanism": "plain", "sasl_username": "a", "sasl_password": "b"}, "uses no oauth_ settings"),
        ({"oauth_ca_file": "ca.pem"}, "oauth_ca_file=ca.pem is for an oauth_token_url that begins with https://"),
        ({"oauth_token_url": "https://me:correct horse@a/token"}, "must not hold a user"),
        ({"sasl_mechanism": "kerberos"}, "sasl_mechanism=kerberos: must be 'plain', 'scram-sha-256'"),
    ],
)
def test_settings_of_tokens_that_do_not_go_together_are_one_line(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_for(**{"url": "http://127.0.0.1:9/token", **given})
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "horse" not in str(raised.value)


def test_amazon_msk_needs_a_region_and_its_library_signs_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aws_msk_iam_sasl_signer", reason="pip install 'barwheel[msk]' is wanted for this test")
    given = {"broker": "a:1", "security_protocol": "sasl_ssl", "sasl_mechanism": "aws-msk-iam"}
    with pytest.raises(SettingsError, match="sasl_mechanism=aws-msk-iam needs aws_region"):
        Settings.load(**given)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    token, life = MskTokens("eu-central-1").fetch()
    assert b"kafka.eu-central-1.amazonaws.com" in base64.urlsafe_b64decode(token + "==")
    assert 0 < life <= 900
    assert isinstance(client_options(Settings.load(**given, aws_region="eu-central-1"))["sasl_oauth_token_provider"], MskTokens)
