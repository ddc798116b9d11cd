"""Every setting of barwheel, documented once: environment `BARWHEEL_<NAME>`, or a line in `.env`."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError
from app.settings.types import (
    Delivery,
    Duration,
    LatePolicy,
    MigrateOnBoot,
    OnGap,
    Price,
    SaslMechanism,
    ScopeKind,
    SecurityProtocol,
    Start,
    Switch,
    TimeUnit,
    WebAuth,
    duration_ms,
    duration_text,
    loopback,
    one_line,
)

PREFIX = "BARWHEEL_"
POCKET_PORT = 19092
WHOLE_DIGITS = 8  # at least, of a price in ksqlDB: sums have ten more
_TOPIC = re.compile(r"[A-Za-z0-9._-]*")
OPEN_DOOR = "web_host={}: other machines can reach it: set web_token, or web_auth=none to let anybody read"


class Settings(BaseSettings):
    """The settings of one app; durations are whole milliseconds once read. See `Settings.load`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    app_id: str = Field(
        "barwheel",
        description="Name of the app: consumer group, changelog and the `app_id` header of its bars.",
    )
    broker: str = Field("", description="Kafka as `kafka://host:9092[,host:9092]`; empty: the embedded pocket broker.")
    ticks_topic: str = Field("ticks", description="The input topic; never prefixed.")
    topics_prefix: str = Field("", description="Put before the name of every topic we write.")
    topic_partitions: int = Field(8, ge=1, le=10_000, description="Partitions of the input topic, if we create it.")
    replication_factor: int = Field(1, ge=1, le=32_767, description="Replicas of the topics we create.")
    window_size: Duration = Field(60_000, description="Length of a bar.")
    grace: Duration = Field(5_000, description="How long after its end a window still accepts ticks.")
    scope: ScopeKind = Field(ScopeKind.BROKER, description="What shares one stream time: `symbol`, `broker` or `partition`.")
    idle_close: Switch = Field(Switch.on, description="Close the windows of a silent scope by elapsed arrival time.")
    idle_margin: Duration = Field(
        500,
        description="How far the idle timer stays behind the clock; above clock difference plus replication delay.",
    )
    max_future: Duration = Field(60_000, description="A tick this far ahead of its own arrival is rejected.")
    min_ts: int = Field(
        631_152_000_000,
        description="Event times before this (epoch ms) are rejected: 1990, seconds where milliseconds are expected.",
    )
    time_unit: TimeUnit = Field(TimeUnit.ms, description="Unit of `ts`: `s`, `ms`, `us` or `ns`.")
    price: Price = Field(Price.bid, description="The price that makes the bar: `bid`, `ask`, `mid` or `last`.")
    late_policy: LatePolicy = Field(
        LatePolicy.drop, description="What becomes of a late tick: `drop` sends it to `ticks_late`."
    )
    start: Start = Field(Start.earliest, description="Where a partition that was never read begins: `earliest` or `latest`.")
    on_gap: OnGap = Field(
        OnGap.stop,
        description="Unread records are gone from the input: `stop`, or `continue` and count them as lost.",
    )
    delivery: Delivery = Field(
        Delivery.idempotent,
        description="`idempotent`: bars come at once; `transactional`: with the checkpoint, all or nothing.",
    )
    checkpoint_interval: Duration = Field(1_000, description="Time between checkpoints; more while much is read at once.")
    wheel_tick: Duration = Field(200, description="Width of a slot of the timing wheel.")
    consumer_group_instance_id: str = Field(
        "", description="Static membership: a fixed name of this worker, which no other may have; empty: dynamic."
    )
    session_timeout: Duration = Field(30_000, description="A worker that is silent this long loses its partitions.")
    security_protocol: SecurityProtocol = Field(
        SecurityProtocol.plaintext,
        description="Of the connection to Kafka: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.",
    )
    sasl_mechanism: SaslMechanism = Field(
        SaslMechanism.plain, description="With SASL: `plain`, `scram-sha-256` or `scram-sha-512`."
    )
    sasl_username: str = Field("", description="With SASL: the user.")
    sasl_password: SecretStr = Field(SecretStr(""), description="With SASL: the password; never shown.")
    tls_ca_file: str = Field("", description="With TLS: PEM file of the CAs to trust; empty: the system's.")
    tls_cert_file: str = Field("", description="With TLS: PEM file of our own certificate, where the broker asks for one.")
    tls_key_file: str = Field("", description="Its key, where that is not in the same file.")
    tls_key_password: SecretStr = Field(SecretStr(""), description="The key's password; never shown.")
    tls_check_hostname: Switch = Field(Switch.on, description="Whether the broker's certificate must name its host.")
    ksqldb_url: str = Field("", description="ksqlDB as `http://host:8088` or `https://`; empty: none, and nothing is migrated.")
    ksqldb_user: str = Field("", description="Its user, where it asks for one (HTTP Basic).")
    ksqldb_password: SecretStr = Field(SecretStr(""), description="Its password; never shown.")
    ksqldb_ca_file: str = Field("", description="With `https://`: PEM file of the CAs to trust; empty: the system's.")
    ksqldb_precision: int = Field(
        18, ge=9, le=28, description="Digits of a price or quantity in the shipped plans: what does not fit, ksqlDB drops."
    )
    ksqldb_scale: int = Field(8, ge=0, le=18, description="How many of them come after the point.")
    schema_registry_url: str = Field(
        "", description="Schema Registry as `http://host:8081`; empty: none, and it is not checked."
    )
    migrate_on_boot: MigrateOnBoot = Field(
        MigrateOnBoot.warn,
        description="Pending migrations at a worker's start: `require` lets ticks wait, `warn` does not, `off` leaves them.",
    )
    data_dir: Path = Field(Path(".barwheel"), description="Local files: the pocket broker's data.")
    pocket_port: int = Field(POCKET_PORT, ge=0, le=65_535, description="Port of the pocket broker; 0 takes a free one.")
    web_host: str = Field("127.0.0.1", description="Address the web port listens on.")
    web_port: int = Field(6066, ge=0, le=65_535, description="The web port.")
    web_url: str = Field(
        "", description="Where other workers reach this web port, `http://host:6066`; empty: `web_host` and `web_port`."
    )
    web_auth: WebAuth = Field(
        WebAuth.token,
        description="`token`: `web_token` must be shown, where it is set; `none`: anybody who reaches the port may read.",
    )
    web_token: SecretStr = Field(
        SecretStr(""), description="What requests must show; wanted where `web_host` is not this machine. Never shown."
    )
    web_hosts: str = Field(
        "", description="More names in the Host header, with commas between; IP addresses and this machine's name are known."
    )
    metrics_namespace: str = Field(
        "", pattern=r"^([a-zA-Z_][a-zA-Z0-9_]*)?$", description="Put before the names in `/metrics`, with `_` between."
    )
    read_model_bars: int = Field(
        2_000_000, ge=1_000, description="Final bars kept in `data_dir` for the page and the API; the oldest go first."
    )

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the environment and `.env`; raises `SettingsError` with one line that names setting and value."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise SettingsError(one_line(error)) from None

    @field_validator("window_size", "checkpoint_interval", "session_timeout")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("must be longer than 0")
        return value

    @field_validator("wheel_tick")
    @classmethod
    def _slot(cls, value: int) -> int:
        if not 10 <= value <= 10_000:  # noqa: PLR2004  # both are in the message
            raise ValueError("must lie between 10ms and 10s")
        return value

    @field_validator("app_id")
    @classmethod
    def _app_id(cls, value: str) -> str:
        if not value or not _TOPIC.fullmatch(value):
            raise ValueError("may hold letters, digits, '.', '_' and '-' only, and is not empty")
        return value

    @field_validator("ticks_topic", "topics_prefix")
    @classmethod
    def _topic(cls, value: str) -> str:
        if not _TOPIC.fullmatch(value):
            raise ValueError("may hold letters, digits, '.', '_' and '-' only")
        return value

    @field_validator("broker")
    @classmethod
    def _broker(cls, value: str) -> str:
        for address in value.removeprefix("kafka://").split(",") if value else ():
            host, _, port = address.rpartition(":")
            if not host or "/" in host or not (port.isdecimal() and 0 < int(port) <= 65_535):  # noqa: PLR2004 - TCP's
                raise ValueError("must look like kafka://host:9092[,host:9092], or be empty")
        return value

    @field_validator("ksqldb_url", "schema_registry_url")
    @classmethod
    def address(cls, value: str) -> str:
        """Of an HTTP server, without a slash at its end; raises `ValueError` for another text."""
        if not value:
            return value
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number
            usable = False
        if not usable or parts.query or parts.fragment:
            raise ValueError("must look like http://host:8088 or https://host:8088, or be empty")
        if parts.username is not None:
            raise ValueError("must not hold a user, addresses are shown and logged: set ksqldb_user and ksqldb_password")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _ksqldb(self) -> Settings:
        if bool(self.ksqldb_user) != bool(self.ksqldb_password.get_secret_value()):
            raise ValueError("ksqldb_user and ksqldb_password go together: set both or none")
        if self.ksqldb_ca_file and not self.ksqldb_url.startswith("https://"):
            raise ValueError(f"ksqldb_ca_file={self.ksqldb_ca_file} is for a ksqldb_url that begins with https://")
        if self.ksqldb_precision - self.ksqldb_scale < WHOLE_DIGITS:
            raise ValueError(
                f"ksqldb_precision={self.ksqldb_precision} leaves less than {WHOLE_DIGITS} digits before the point "
                f"of ksqldb_scale={self.ksqldb_scale}"
            )
        return self

    @model_validator(mode="after")
    def _session(self) -> Settings:
        if not self.ticks_topic:
            raise ValueError("ticks_topic must not be empty")
        return self

    @model_validator(mode="after")
    def _security(self) -> Settings:
        protocol = self.security_protocol
        set_up = f"security_protocol={protocol.value}"
        if self.pocket and protocol is not SecurityProtocol.plaintext:
            raise ValueError(f"{set_up}: the pocket broker speaks plaintext only, set broker to a Kafka")
        if protocol.sasl and not (self.sasl_username and self.sasl_password.get_secret_value()):
            raise ValueError(f"{set_up} needs sasl_username and sasl_password")
        if not protocol.sasl and (self.sasl_username or self.sasl_password.get_secret_value()):
            raise ValueError(f"{set_up} sends no sasl_username and sasl_password: use sasl_ssl, or leave them out")
        if not protocol.tls and (self.tls_ca_file or self.tls_cert_file):
            raise ValueError(f"{set_up} uses no tls_ca_file and tls_cert_file: use ssl or sasl_ssl, or leave them out")
        if self.tls_key_file and not self.tls_cert_file:
            raise ValueError(f"tls_key_file={self.tls_key_file} is the key of no tls_cert_file")
        return self

    @model_validator(mode="after")
    def _web(self) -> Settings:
        if self.web_url and (urlsplit(self.web_url).scheme not in {"http", "https"} or not urlsplit(self.web_url).hostname):
            raise ValueError(f"web_url={self.web_url}: must look like http://host:6066, or be empty")
        if not (loopback(self.web_host) or self.web_auth is WebAuth.none or self.web_token.get_secret_value()):
            raise ValueError(OPEN_DOOR.format(self.web_host))
        return self

    @property
    def pocket(self) -> bool:
        """Whether the embedded broker is used."""
        return not self.broker

    @property
    def bootstrap(self) -> str:
        """`host:port[,host:port]` of the Kafka broker; empty for the pocket broker, whose port is known when it runs."""
        return self.broker.removeprefix("kafka://")

    @property
    def size_text(self) -> str:
        """The window size as topics and headings spell it: `1m`, `5s`."""
        return duration_text(self.window_size)

    @property
    def finals_topic(self) -> str:
        """Topic of the final bars."""
        return f"{self.topics_prefix}bar_{self.size_text}_final"

    @property
    def late_topic(self) -> str:
        """Topic of the late ticks."""
        return f"{self.topics_prefix}ticks_late"

    @property
    def rejected_topic(self) -> str:
        """Topic of the records that are no ticks."""
        return f"{self.topics_prefix}ticks_rejected"

    @property
    def changelog_topic(self) -> str:
        """Topic of the open windows and the position records."""
        return f"{self.topics_prefix}{self.app_id}-windows-changelog"

    @property
    def history_topic(self) -> str:
        """Topic of the migrations that were applied; apps with one prefix share it."""
        return f"{self.topics_prefix}_meta_migrations"

    def source_of(self, name: str) -> str:
        """Where a value comes from: `environment`, `.env` or `default`."""
        key = (PREFIX + name).upper()
        if any(k.upper() == key for k in os.environ):
            return "environment"
        return ".env" if name in self.model_fields_set else "default"

    def text_of(self, name: str) -> str:
        """A value as a user would write it."""
        value = getattr(self, name)
        if name in DURATIONS:
            return duration_text(value)
        return str(value.value) if isinstance(value, StrEnum) else str(value)


DURATIONS = frozenset(
    n
    for n, f in Settings.model_fields.items()
    if any(m.func is duration_ms for m in f.metadata if isinstance(m, BeforeValidator))
)
RESERVED = frozenset({"TEST_DATA", "KAFKA"})  # read by the tests


def unknown_variables() -> list[str]:
    """Names in the environment that start with the prefix and are no setting: probably misspelt."""
    known = {name.upper() for name in Settings.model_fields} | RESERVED
    return sorted(k for k in os.environ if k.upper().startswith(PREFIX) and k[len(PREFIX) :].upper() not in known)
