"""HTTP connections to a server that the settings name: its address, credentials, CA and time limits."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.errors import SettingsError

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Identity:
    """What a client shows beside user and password: a certificate with its key, and headers."""

    cert_file: str = ""
    key_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


NOBODY = Identity()


def client(  # noqa: PLR0913  # the settings of one server
    url: str,
    setting: str,
    *,
    user: str,
    password: str,
    ca_file: str,
    media_type: str,
    read_seconds: float,
    identity: Identity = NOBODY,
) -> httpx.AsyncClient:
    """A client for one server. `setting`: the beginning of its settings' names.

    Raises `SettingsError` if one of the files cannot be used.
    """
    import httpx  # noqa: PLC0415  # large, and a worker needs it only where it has such a server

    return httpx.AsyncClient(
        base_url=url,
        auth=httpx.BasicAuth(user, password) if user else None,
        headers={**identity.headers, "Accept": media_type},
        verify=_context(ca_file, setting, identity) if url.startswith("https:") else True,
        timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
        trust_env=False,  # settings alone decide: no proxy variables, no .netrc
    )


async def request(http: httpx.AsyncClient, method: str, path: str, seconds: float, **options: Any) -> httpx.Response:
    """Send a request. Raises httpx's errors, and `TimeoutError` where the whole response takes longer than `seconds`."""
    async with asyncio.timeout(seconds):  # httpx limits the time between two bytes, not the whole
        return await http.request(method, path, **options)


def check_certificate(error: BaseException | None, server: str, setting: str) -> None:
    """Raise `SettingsError` if a certificate was the cause: another attempt would not help. `server`: for the message."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = f"set {setting}_ca_file to the CA that signed it, and {setting}_url to the name in it"
            raise SettingsError(f"{server}: its certificate is not trusted ({error.verify_message}); {remedy}")
        error = error.__cause__ or error.__context__


def tls_context(ca_file: str, setting: str) -> ssl.SSLContext:
    """What to trust. Raises `SettingsError` if `ca_file` cannot be used."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise SettingsError(f"{setting}_ca_file={ca_file}: not a file of PEM certificates ({error})") from None


def _context(ca_file: str, setting: str, identity: Identity) -> ssl.SSLContext:
    """What to trust, with our own certificate. Raises `SettingsError` if one of the files cannot be used."""
    context = tls_context(ca_file, setting)
    if identity.cert_file:
        try:
            context.load_cert_chain(identity.cert_file, identity.key_file or None)
        except OSError as error:
            key = f" and {setting}_key_file={identity.key_file}" if identity.key_file else ""
            name = f"{setting}_cert_file={identity.cert_file}{key}"
            raise SettingsError(f"{name}: no PEM certificate with its key ({error})") from None
    return context
