"""Addresses: of Kafka brokers, of HTTP servers, and of the web port."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

MAX_PORT = 65_535
KAFKA_SCHEME = "kafka://"


def broker_address(value: str) -> str:
    """Check `kafka://host:9092[,host:9092]`, where the scheme may be left out; raises `ValueError` for another text."""
    for address in value.removeprefix(KAFKA_SCHEME).split(",") if value else ():
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not (port.isdecimal() and 0 < int(port) <= MAX_PORT):
            raise ValueError("must look like kafka://host:9092[,host:9092], or be empty")
    return value


def http_address(value: str) -> str:
    """Check the address of an HTTP server and drop a trailing slash; raises `ValueError` for another text.

    A user in the address is refused, because addresses are shown and logged.
    """
    if not value:
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # not a number as the port
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ValueError("must look like http://host:8088 or https://host:8088, or be empty")
    if parts.username is not None:
        raise ValueError("must not hold a user, addresses are shown and logged: set its user and its password beside it")
    return value.rstrip("/")


def web_address(value: str) -> str:
    """Check the address at which other workers reach the web port; raises `ValueError` for another text."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname
    except ValueError:  # a broken IPv6 address
        usable = False
    if value and not usable:
        raise ValueError("must look like http://host:6066, or be empty")
    return value


def loopback(host: str) -> bool:
    """Whether a host is this machine's own address, which no other machine can reach."""
    if host.strip("[]").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


BrokerAddress = Annotated[str, AfterValidator(broker_address)]
HttpAddress = Annotated[str, AfterValidator(http_address)]
WebAddress = Annotated[str, AfterValidator(web_address)]
