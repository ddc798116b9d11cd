"""Access rules: the bearer token, the host names of a worker, and the addresses it may listen on."""

from __future__ import annotations

import base64
import binascii
import hmac
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.errors import SettingsError
from app.settings import OPEN_DOOR, Settings
from app.settings.addresses import loopback
from app.settings.types import WebAuth


def required_token(settings: Settings) -> bytes:
    """The token that requests must carry; empty if they need none."""
    return b"" if settings.web_auth is WebAuth.none else settings.web_token.get_secret_value().encode()


def has_token(header: str, token: bytes) -> bool:
    """Whether an Authorization header carries the token.

    It may be a bearer token, or the password of any user, which is what browsers ask for. The comparison takes the same
    time for any wrong token.
    """
    scheme, _, text = header.partition(" ")
    given = text.strip().encode(errors="replace")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given, token)


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """The host names that requests may be addressed to, besides IP addresses."""
    names = {"localhost", socket.gethostname(), settings.web_host, urlsplit(settings.web_url).hostname or ""}
    names |= {name.strip() for name in settings.web_hosts.split(",")}
    return frozenset(name.lower().strip("[]") for name in names if name)


def is_allowed_host(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header is an IP address or one of these names.

    This stops DNS rebinding: a page of another site can point its own host name at this worker, but the browser then
    sends that name. No site can make a name out of an IP address.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    if name in names:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def check_bind_address(settings: Settings, bind: str) -> None:
    """Raise `SettingsError` if other machines can reach the address and requests need no token.

    The settings check `web_host` themselves; `bind` may come from the command line.
    """
    if not loopback(bind) and settings.web_auth is WebAuth.token and not required_token(settings):
        raise SettingsError(OPEN_DOOR.format(bind))


def free_port(bind: str) -> int:
    """A port that no program uses at this address; raises `SettingsError` if the address is not this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            bind or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise SettingsError(f"web_host={bind}: cannot listen on it: {(error.strerror or str(error)).lower()}") from error


def check_port_free(bind: str, port: int) -> None:
    """Raise `SettingsError` if another program uses the port, before anything is started.

    A second worker on the same machine needs a port of its own.
    """
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            bind or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:  # same options as the server's socket
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        where = f"cannot listen on {bind}: {(error.strerror or str(error)).lower()}"
        raise SettingsError(
            f"web_port={port}: {where}; set BARWHEEL_WEB_PORT, or worker's --web-port, to a free one"
        ) from error
