"""Bearer tokens for SASL OAUTHBEARER: from an OAuth server, or signed for Amazon MSK. They are renewed before they expire.

Written for aiokafka 0.14.0. Importing this module changes its authenticator: the broker refuses a token in an answer without an
error code (RFC 7628), which aiokafka takes for consent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import httpx
from aiokafka import conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from app.errors import SettingsError
from app.https import CONNECT_SECONDS, check_certificate, tls_context
from app.settings import Settings
from app.settings.security import SaslMechanism

ANSWER_SECONDS = 10.0
LEAST_SECONDS = 60.0  # the life of a token whose server does not say how long it lives
USED = 0.8  # of its life: then the next one is fetched
REFUSED = 400  # and above, below 500: another attempt does not help
BUSY = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS}


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """Hands out one token until it is due. The clients of several threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    async def token(self) -> str:
        """The present token. Raises `AuthenticationFailedError` where it is refused, `KafkaConnectionError` else."""
        return await asyncio.to_thread(self._present)

    def _present(self) -> str:
        with self._lock:
            if self._clock() >= self._until:
                began = self._clock()
                self._token, life = self.fetch()
                self._until = began + life * USED
            return self._token

    @abstractmethod
    def fetch(self) -> tuple[str, float]:
        """A new token, and how many seconds it lives."""


class OAuthTokens(Tokens):
    """From an OAuth 2 server, by the grant `client_credentials`."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `SettingsError` if `oauth_ca_file` cannot be used."""
        super().__init__(clock)
        self._url, self._scope = settings.oauth_token_url, settings.oauth_scope
        self._auth = httpx.BasicAuth(settings.oauth_client_id, settings.oauth_client_secret.get_secret_value())
        self._verify = tls_context(settings.oauth_ca_file, "oauth") if self._url.startswith("https:") else True

    def fetch(self) -> tuple[str, float]:
        """A new token, and how many seconds it lives."""
        where = f"oauth_token_url={self._url}"
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        try:
            with httpx.Client(verify=self._verify, timeout=timeout, trust_env=False) as http:
                answer = http.post(self._url, data=form, auth=self._auth, headers={"Accept": "application/json"})
        except httpx.HTTPError as error:
            try:
                check_certificate(error, where, "oauth")
            except SettingsError as untrusted:
                raise AuthenticationFailedError(str(untrusted)) from error
            raise KafkaConnectionError(f"{where} does not answer ({str(error) or type(error).__name__})") from error
        if answer.status_code != httpx.codes.OK:
            text = f"{where} answers {answer.status_code} ({_reason(answer)})"
            final = REFUSED <= answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR and answer.status_code not in BUSY
            raise AuthenticationFailedError(text) if final else KafkaConnectionError(text)
        content = _json(answer)
        token, life = content.get("access_token"), content.get("expires_in", LEAST_SECONDS)
        if not isinstance(token, str) or not token or not isinstance(life, (int, float)):
            raise AuthenticationFailedError(f"{where} answers without an access_token")
        return token, float(life)


class MskTokens(Tokens):
    """For Amazon MSK: a request that is signed with AWS credentials, by Amazon's library."""

    def __init__(self, region: str) -> None:
        """Raises `SettingsError` if the library is not installed."""
        super().__init__()
        try:
            from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415  # installed by those who need it
        except ImportError:
            raise SettingsError("sasl_mechanism=aws-msk-iam needs a library: pip install 'barwheel[msk]'") from None
        self._region, self._signer = region, MSKAuthTokenProvider

    def fetch(self) -> tuple[str, float]:
        """A new token, and how many seconds it lives."""
        try:
            token, expires_ms = self._signer.generate_auth_token(self._region)
        except Exception as error:  # the SDK has many: no credentials, no such profile, a broken file
            raise AuthenticationFailedError(f"aws_region={self._region}: {str(error) or type(error).__name__}") from error
        return token, expires_ms / 1_000 - time.time()


def tokens_of(settings: Settings) -> Tokens:
    """Where the tokens of these settings come from. Raises `SettingsError`."""
    if settings.sasl_mechanism is SaslMechanism.aws_msk_iam:
        return MskTokens(settings.aws_region)
    return OAuthTokens(settings)


class StrictAuthenticator(conn.OAuthAuthenticator):  # type: ignore[misc]  # aiokafka has no types
    """Takes an answer with content for the refusal that it is."""

    async def step(self, payload: bytes | None) -> Any:
        """The next message for the broker; None at the end."""
        if payload:
            raise AuthenticationFailedError(f"the broker refused the token: {payload.decode(errors='replace')}")
        return await super().step(payload)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _reason(answer: httpx.Response) -> str:
    said = _json(answer)
    parts = [said[name] for name in ("error", "error_description") if isinstance(said.get(name), str)]
    return ": ".join(parts) or answer.reason_phrase or "no reason"


conn.OAuthAuthenticator = StrictAuthenticator
