"""What the values of settings are made of: durations, words, addresses; and how a wrong one is put."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ValidationError

from app.errors import SettingsError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_USER = re.compile(r"//.*@")  # of an address, with its password
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(value: object) -> int:
    """Read `5s`, `200ms`, `1m`, `2h` or `1d` as whole milliseconds; a bare number has no unit and is refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value  # a default, already in ms
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("is not a duration: write a number and a unit, for example 5s, 200ms or 1m")
    exact = float(match[1]) * _UNIT_MS[match[2]]
    if exact != int(exact):
        raise ValueError("is not a whole number of milliseconds")
    return int(exact)


def duration_text(ms: int) -> str:
    """The shortest text that `duration_ms` reads back as this many milliseconds."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNIT_MS[unit] == 0:
            return f"{ms // _UNIT_MS[unit]}{unit}"
    return f"{ms}ms"


Duration = Annotated[int, BeforeValidator(duration_ms)]


class ScopeKind(StrEnum):
    """What shares one stream time."""

    SYMBOL = "symbol"
    BROKER = "broker"
    PARTITION = "partition"


class Switch(StrEnum):
    """On or off."""

    on = "on"
    off = "off"


class TimeUnit(StrEnum):
    """The unit of `ts` in a tick."""

    s = "s"
    ms = "ms"
    us = "us"
    ns = "ns"


class Price(StrEnum):
    """Which of a tick's prices makes the bar."""

    bid = "bid"
    ask = "ask"
    mid = "mid"
    last = "last"


class LatePolicy(StrEnum):
    """What becomes of a late tick."""

    drop = "drop"


class Start(StrEnum):
    """Where reading begins on a partition that has never been read."""

    earliest = "earliest"
    latest = "latest"


class OnGap(StrEnum):
    """What to do when records that were not read yet are gone from `ticks`."""

    stop = "stop"
    keep_going = "continue"


class MigrateOnBoot(StrEnum):
    """What a worker does about pending migrations when it starts."""

    require = "require"
    warn = "warn"
    off = "off"


class WebAuth(StrEnum):
    """What a request to the web port must show."""

    token = "token"  # noqa: S105  # the word, not one
    none = "none"


class SecurityProtocol(StrEnum):
    """How clients speak to the brokers."""

    plaintext = "plaintext"
    ssl = "ssl"
    sasl_plaintext = "sasl_plaintext"
    sasl_ssl = "sasl_ssl"

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.value.endswith("ssl")

    @property
    def sasl(self) -> bool:
        """Whether a user and a password are sent."""
        return self.value.startswith("sasl_")


class SaslMechanism(StrEnum):
    """How the password is shown."""

    plain = "plain"
    scram_sha_256 = "scram-sha-256"
    scram_sha_512 = "scram-sha-512"


class Delivery(StrEnum):
    """How a checkpoint is made durable."""

    idempotent = "idempotent"
    transactional = "transactional"


def loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host.strip("[]").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def make_folder(path: Path) -> None:
    """Make a folder of `data_dir`, and those above it; raises `SettingsError` where it cannot be made or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, "it is not writable")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; set BARWHEEL_DATA_DIR to a folder that can be written to") from error


def one_line(error: ValidationError) -> str:
    """What is wrong with which setting, for people."""
    parts = []
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        what = problem["msg"].removeprefix("Value error, ")
        what = what.replace("Input should be", "must be")
        shown = _USER.sub("//***@", str(problem["input"]))
        parts.append(f"{name}={shown}: {what}" if name else what)
    return "; ".join(parts)
