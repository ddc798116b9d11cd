"""Checks of settings that must fit each other, and the text of a failed validation. Pure functions.

Each check raises `ValueError` with the names of the settings and their values; it never shows a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from pydantic import SecretStr, ValidationError

from app.settings.addresses import loopback
from app.settings.durations import duration_text
from app.settings.sources import parse_sources
from app.settings.types import BarsFormat, TicksFormat, WebAuth

WHOLE_DIGITS = 8  # at least, before the point of a price in ksqlDB; the sums have ten more
OPEN_DOOR = "web_host={}: other machines can reach it: set web_token, or web_auth=none to let anybody read"
# Kafka keeps the group's offsets and the transactions in them, so every checkpoint adds records
KAFKA_TOPICS = {"__consumer_offsets": "the offsets of consumer groups", "__transaction_state": "the transactions"}
REQUEST_MS = 90_000  # the time that the consumer gives a request
_CREDENTIALS = re.compile(r"//.*@")  # in an address


class KsqldbSettings(Protocol):
    """The settings about ksqlDB, as `Settings` has them."""

    ksqldb_url: str
    ksqldb_user: str
    ksqldb_password: SecretStr
    ksqldb_ca_file: str
    ksqldb_cert_file: str
    ksqldb_key_file: str
    ksqldb_precision: int
    ksqldb_scale: int


def check_ksqldb(settings: KsqldbSettings) -> None:
    """User and password come together, a CA file needs TLS, and prices keep enough digits before the point."""
    precision, scale, ca_file = settings.ksqldb_precision, settings.ksqldb_scale, settings.ksqldb_ca_file
    _check_together("ksqldb", settings.ksqldb_user, settings.ksqldb_password)
    if ca_file and not settings.ksqldb_url.startswith("https://"):
        raise ValueError(f"ksqldb_ca_file={ca_file} is for a ksqldb_url that begins with https://")
    if settings.ksqldb_key_file and not settings.ksqldb_cert_file:
        raise ValueError(f"ksqldb_key_file={settings.ksqldb_key_file} is for a ksqldb_cert_file, which is empty")
    if precision - scale < WHOLE_DIGITS:
        raise ValueError(
            f"ksqldb_precision={precision} leaves less than {WHOLE_DIGITS} digits before the point of ksqldb_scale={scale}"
        )


def _check_together(server: str, user: str, password: SecretStr) -> None:
    if bool(user) != bool(password.get_secret_value()):
        raise ValueError(f"{server}_user and {server}_password go together: set both or none")


class SchemaSettings(Protocol):
    """The settings about schemas, as `Settings` has them."""

    ticks_format: TicksFormat
    ticks_schema: str
    ticks_message: str
    bars_format: BarsFormat
    schema_registry_url: str
    schema_registry_user: str
    schema_registry_password: SecretStr
    schema_registry_ca_file: str


def check_schemas(settings: SchemaSettings) -> None:
    """A registry's credentials are complete, formats with schemas have them from somewhere, and others need none."""
    url, user, ca_file = settings.schema_registry_url, settings.schema_registry_user, settings.schema_registry_ca_file
    _check_together("schema_registry", user, settings.schema_registry_password)
    if user and not url:
        raise ValueError(f"schema_registry_user={user} is for a schema_registry_url, which is empty")
    if ca_file and not url.startswith("https://"):
        raise ValueError(f"schema_registry_ca_file={ca_file} is for a schema_registry_url that begins with https://")
    if settings.bars_format is not BarsFormat.json and not url:
        raise ValueError(f"bars_format={settings.bars_format.value} needs schemas: set schema_registry_url")
    kind, file, message = settings.ticks_format, settings.ticks_schema, settings.ticks_message
    if kind is TicksFormat.json and file:
        raise ValueError(f"ticks_schema={file} is for ticks_format=avro or protobuf")
    if kind is not TicksFormat.json and not (url or file):
        raise ValueError(
            f"ticks_format={kind.value} needs schemas: set schema_registry_url, or ticks_schema to a file with one"
        )
    if kind is TicksFormat.protobuf and bool(file) != bool(message):
        raise ValueError("ticks_format=protobuf: ticks_schema and ticks_message go together: set both or none")
    if kind is not TicksFormat.protobuf and message:
        raise ValueError(f"ticks_message={message} is for ticks_format=protobuf")


def check_web(*, host: str, auth: WebAuth, token: str) -> None:
    """A web port that other machines can reach needs a token, or the explicit choice of none."""
    if not (loopback(host) or auth is WebAuth.none or token):
        raise ValueError(OPEN_DOOR.format(host))


def check_session(session_timeout: int) -> None:
    """The session outlives no request: joining the group is one, and it may take as long as the session."""
    if session_timeout > REQUEST_MS:
        longest = duration_text(REQUEST_MS)
        raise ValueError(
            f"session_timeout={duration_text(session_timeout)}: at most {longest}, the time that a request may take"
        )


def check_input(ticks_topic: str, outputs: Mapping[str, str], *, repartition: bool) -> None:
    """The input is no topic that is written for this app: it would read what it writes, without an end.

    `outputs`: what this app writes, by topic. Several topics, or a pattern, need `repartition`.
    """
    sources = parse_sources(ticks_topic)
    if sources.one is None and not repartition:
        what = "a pattern" if sources.pattern is not None else "several topics"
        raise ValueError(f"ticks_topic={ticks_topic}: {what} can be read with repartition=on only, see docs/topics.md")
    for topic in sources.among({**KAFKA_TOPICS, **outputs}):
        if sources.pattern is not None and topic in KAFKA_TOPICS:
            continue  # a pattern finds no topics of Kafka's own
        written = {**KAFKA_TOPICS, **outputs}[topic]
        remedy = "set ticks_topic to where the ticks are"
        if topic in outputs:
            remedy += ", or another topics_prefix"
        relation = "is" if topic == ticks_topic else f"finds {topic},"
        loop = "this app would read what it writes"
        raise ValueError(f"ticks_topic={ticks_topic} {relation} where {written} go, {loop}: {remedy}")


def one_line(error: ValidationError) -> str:
    """Every failed setting with its value and the reason, on one line; credentials in an address are masked."""
    parts = []
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        value = _CREDENTIALS.sub("//***@", str(problem["input"]))
        parts.append(f"{name}={value}: {reason}" if name else reason)
    return "; ".join(parts)
