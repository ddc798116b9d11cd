"""Every setting of barwheel: from the environment as `BARWHEEL_<NAME>`, or from a line in `.env`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from app.errors import SettingsError
from app.settings import checks
from app.settings.addresses import KAFKA_SCHEME, MAX_PORT, BrokerAddress, HttpAddress, WebAddress
from app.settings.clients import ClientTuning
from app.settings.durations import Duration, PositiveDuration, SlotWidth, duration_ms, duration_text, optional_duration_ms
from app.settings.env_file import ENV_FILE, names_set
from app.settings.ksqldb import KsqldbConnection
from app.settings.layout import OWN_KEY, LayoutConfig, layout_config
from app.settings.longer import LongerBars, check_calendar
from app.settings.outputs import OutputNames, output_topics
from app.settings.secret_files import SUFFIX, files_set, read_secrets
from app.settings.security import Security, check_security
from app.settings.types import (
    AppName,
    BarsFormat,
    Delivery,
    IdleClose,
    MigrateOnBoot,
    Native,
    NumberUnit,
    OnGap,
    OnOff,
    Price,
    Prices,
    Replicas,
    ScopeKind,
    Start,
    TicksFormat,
    TimeUnit,
    TopicName,
    WebAuth,
)

PREFIX = "BARWHEEL_"
POCKET_PORT = 19092


class Settings(OutputNames, Security, ClientTuning, KsqldbConnection, LongerBars):
    """The settings of one app, see `Settings.load`. Durations are in milliseconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    app_id: AppName = Field(
        "barwheel",
        description="Name of the app: consumer group, changelog and the `app_id` header of its bars.",
    )
    broker: BrokerAddress = Field(
        "", description="Kafka as `kafka://host:9092[,host:9092]`; empty: the embedded pocket broker."
    )
    ticks_topic: str = Field("ticks", description="Input topic, never prefixed; with `repartition` also `a,b` or `^ticks-.*`.")
    repartition: OnOff = Field(False, description="`on`: ticks are first copied to one topic, by symbol, and read from there.")
    ticks_format: TicksFormat = Field(TicksFormat.json, description="How values are encoded: `json`, `avro` or `protobuf`.")
    ticks_schema: str = Field("", description="Schema file of all ticks (`.avsc`, descriptor set); empty: records name theirs.")
    ticks_message: str = Field("", description="Full name of the message in the descriptor set.")
    ticks_fields: str = Field(
        "", description="Which field is which part of a tick, `ts=time,last=trade.price,broker='X'`; empty: our own names."
    )
    ticks_key: str = Field(
        OWN_KEY, description="Form of the record keys, with `{broker}` and `{symbol}`; empty: the key says nothing."
    )
    ticks_zone: str = Field(
        "", description="Time zone (IANA name) of times that are text without an offset; empty: they are rejected."
    )
    ticks_time_unit: NumberUnit = Field(
        NumberUnit.same, description="Unit of times that are numbers in the records, if it is not `time_unit`."
    )
    bars_format: BarsFormat = Field(BarsFormat.json, description="How bars are encoded: `json`, `avro` or `protobuf`.")
    bars_scale: int = Field(9, ge=0, le=18, description="With those two: decimals of a price; a tick with more is rejected.")
    bars_register: OnOff = Field(True, description="Register the bars' schema; `off`: use the one that is registered.")
    topics_prefix: TopicName = Field("", description="Put before the name of every topic we write.")
    topic_partitions: int = Field(8, ge=1, le=10_000, description="Partitions of the input topic, if we create it.")
    replication_factor: Replicas = Field(
        -1, description="Replicas of the topics we create; -1: as many as the cluster's `default.replication.factor`."
    )
    window_size: PositiveDuration = Field(60_000, description="Length of a bar.")
    grace: Duration = Field(5_000, description="How long after its end a window still accepts ticks.")
    scope: ScopeKind = Field(
        ScopeKind.BROKER, description="Which ticks share one stream time: those of a `symbol`, a `broker` or a `partition`."
    )
    idle_close: IdleClose = Field(
        IdleClose.on,
        description="Close a silent scope's windows by elapsed arrival time: `on`, `off`, or `marker`: by records it writes.",
    )
    idle_margin: Duration = Field(
        500,
        description="How far the idle timer stays behind the clock; must exceed clock difference plus replication delay.",
    )
    max_future: Duration = Field(60_000, description="A tick whose event time is further ahead of its arrival is rejected.")
    min_ts: int = Field(
        631_152_000_000,
        description="A tick with an earlier event time (epoch ms) is rejected; 1990 catches seconds sent as milliseconds.",
    )
    time_unit: TimeUnit = Field(TimeUnit.ms, description="Unit of `ts`: `s`, `ms`, `us` or `ns`.")
    price: Price = Field(Price.bid, description="The price that makes the bar: `bid`, `ask`, `mid` or `last`.")
    prices: Prices = Field(
        Prices.positive, description="Prices that a tick may have: `positive`, or `any`, 0 and less as well."
    )
    start: Start = Field(
        Start.earliest, description="Where to begin on a partition that was never read: `earliest` or `latest`."
    )
    on_gap: OnGap = Field(
        OnGap.stop,
        description="If unread records are gone from the input: `stop`, or `continue` and count them as lost.",
    )
    delivery: Delivery = Field(
        Delivery.idempotent,
        description="`idempotent`: bars are sent at once; `transactional`: they are part of the checkpoint's transaction.",
    )
    checkpoint_interval: PositiveDuration = Field(
        1_000, description="Time between checkpoints; longer where many states have changed and nothing waits to be published."
    )
    wheel_tick: SlotWidth = Field(200, description="Width of a slot of the timing wheel.")
    consumer_group_instance_id: str = Field(
        "", description="Static membership: a name that no other worker has; empty: dynamic membership."
    )
    session_timeout: PositiveDuration = Field(
        30_000, description="A worker that sends no heartbeat for this long loses its partitions; at most 90s."
    )
    ksqldb_url: HttpAddress = Field(
        "", description="ksqlDB as `http://host:8088` or `https://`; empty: no ksqlDB and no migrations."
    )
    ksqldb_user: str = Field("", description="Its user, if it asks for one (HTTP Basic).")
    ksqldb_password: SecretStr = Field(SecretStr(""), description="Its password; never shown.")
    ksqldb_ca_file: str = Field("", description="With `https://`: PEM file of the CAs to trust; empty: the system's.")
    ksqldb_precision: int = Field(
        18, ge=9, le=28, description="Digits of a price or quantity in the shipped plans; ksqlDB drops ticks that do not fit."
    )
    ksqldb_scale: int = Field(8, ge=0, le=18, description="How many of these digits come after the point.")
    schema_registry_url: HttpAddress = Field("", description="Schema Registry, `http://host:8081` or `https://`; empty: none.")
    schema_registry_user: str = Field("", description="Its user, if it asks for one (HTTP Basic).")
    schema_registry_password: SecretStr = Field(SecretStr(""), description="Its password; never shown.")
    schema_registry_ca_file: str = Field("", description="With `https://`: PEM file of the CAs to trust; empty: the system's.")
    migrate_on_boot: MigrateOnBoot = Field(
        MigrateOnBoot.background,
        description="Pending migrations at a worker's start. `require`: no tick is read until they are applied; "
        "`background` (alias: `warn`): they are applied in the background; `off`: they are not applied.",
    )
    data_dir: Path = Field(
        Path(".barwheel"), description="Directory of local files: the pocket broker's data and the local copy of the bars."
    )
    pocket_port: int = Field(POCKET_PORT, ge=0, le=MAX_PORT, description="Port of the pocket broker; 0 takes a free one.")
    web_host: str = Field("127.0.0.1", description="Address the web port listens on.")
    web_port: int = Field(6066, ge=0, le=MAX_PORT, description="The web port; 0 takes a free one.")
    web_url: WebAddress = Field(
        "", description="Address of this web port for other workers, `http://host:6066`; empty: from `web_host` and `web_port`."
    )
    web_auth: WebAuth = Field(
        WebAuth.token,
        description="`token`: requests must show `web_token`, if it is set; `none`: anybody who reaches the port may read.",
    )
    web_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token for the web port; required if other machines can reach `web_host`. Masked in all output.",
    )
    web_hosts: str = Field(
        "",
        description="More names to accept in the Host header, comma-separated; addresses and this machine's name are accepted.",
    )
    metrics_namespace: str = Field(
        "barwheel",
        pattern=r"^([a-zA-Z_][a-zA-Z0-9_]*)?$",
        description="Prefix of the names in `/metrics`, joined with `_`; four names have none (docs/page.md).",
    )
    native: Native = Field(
        Native.auto, description="The compiled core: `auto` uses it where it is built, `on` refuses to start without, `off`."
    )
    read_model_bars: int = Field(
        2_000_000, ge=1_000, description="Final bars kept in `data_dir` for the page and the API; the oldest are deleted first."
    )

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the environment and `.env`; raises `SettingsError` with one line that names setting and value."""
        names_set()
        try:
            return cls(**{**read_secrets(PREFIX, SECRETS), **overrides})
        except ValidationError as error:
            raise SettingsError(checks.one_line(error)) from None

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        checks.check_ksqldb(self)
        checks.check_schemas(self)
        check_security(self, pocket=self.pocket)
        checks.check_web(host=self.web_host, auth=self.web_auth, token=self.web_token.get_secret_value())
        checks.check_session(self.session_timeout)
        self.layout.parsed()
        check_calendar(self, self.window_size, self.min_ts)
        checks.check_input(self.ticks_topic, output_topics(self), repartition=self.repartition)
        return self

    @property
    def bar_scale(self) -> int | None:
        """How many decimals the numbers of a bar may have; None: any."""
        return None if self.bars_format is BarsFormat.json else self.bars_scale

    @property
    def pocket(self) -> bool:
        """Whether the embedded broker is used."""
        return not self.broker

    @property
    def bootstrap(self) -> str:
        """`host:port[,host:port]` of the Kafka brokers; empty for the pocket broker, whose port is known once it runs."""
        return self.broker.removeprefix(KAFKA_SCHEME)

    @property
    def layout(self) -> LayoutConfig:
        """How the records of the input hold ticks."""
        return layout_config(self)

    def source_of(self, name: str) -> str:
        """Where a value comes from: `environment`, `file`, `.env` or `default`."""
        key = (PREFIX + name).upper()
        if any(k.upper() == key for k in os.environ):
            return "environment"
        if name in files_set(PREFIX, SECRETS):
            return "file"
        return ".env" if name in self.model_fields_set else "default"

    def text_of(self, name: str) -> str:
        """A value as a user would write it."""
        value = getattr(self, name)
        if value is None:
            return ""
        if name in DURATIONS:
            return duration_text(value)
        if isinstance(value, bool):
            return "on" if value else "off"
        return str(value.value) if isinstance(value, StrEnum) else str(value)


DURATIONS = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if any(item.func in (duration_ms, optional_duration_ms) for item in field.metadata if isinstance(item, BeforeValidator))
)
SECRETS = frozenset(name for name, field in Settings.model_fields.items() if field.annotation is SecretStr)
RESERVED = frozenset({"TEST_DATA", "KAFKA", "KAFKA_NODES"})  # for the tests


def unknown_variables() -> list[str]:
    """Names in the environment and in `.env` with the prefix of settings that are not settings: probably misspelled."""
    known = {name.upper() for name in Settings.model_fields} | {f"{name}{SUFFIX}".upper() for name in SECRETS} | RESERVED
    places = [(name, name) for name in os.environ] + [(name, f"{name} (in {ENV_FILE})") for name in names_set()]
    return sorted(
        shown for name, shown in places if name.upper().startswith(PREFIX) and name[len(PREFIX) :].upper() not in known
    )
