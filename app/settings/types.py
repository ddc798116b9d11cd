"""The values that settings can have: choices, switches and names."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator

_NAME = re.compile(r"[A-Za-z0-9._-]*")  # of a topic, as Kafka allows it
MAX_REPLICAS = 32_767
_ON_OFF = {"on": True, "off": False}


def on_or_off(value: object) -> bool:
    """Read `on` or `off`; raises `ValueError` for other texts."""
    if isinstance(value, bool):
        return value
    if value not in _ON_OFF:
        raise ValueError("must be 'on' or 'off'")
    return _ON_OFF[str(value)]


def topic_name(value: str) -> str:
    """Check the characters of a topic name, or of a part of one; raises `ValueError`."""
    if not _NAME.fullmatch(value):
        raise ValueError("may hold letters, digits, '.', '_' and '-' only")
    return value


def replicas(value: int) -> int:
    """Check a number of replicas, where -1 is the cluster's default; raises `ValueError`."""
    if value == 0 or not -1 <= value <= MAX_REPLICAS:
        raise ValueError(f"must lie between 1 and {MAX_REPLICAS}, or be -1 for the cluster's default.replication.factor")
    return value


def app_name(value: str) -> str:
    """Check the name of an app, which is part of topic names; raises `ValueError`."""
    if not value or not _NAME.fullmatch(value):
        raise ValueError("may hold letters, digits, '.', '_' and '-' only, and is not empty")
    return value


OnOff = Annotated[bool, BeforeValidator(on_or_off)]
TopicName = Annotated[str, AfterValidator(topic_name)]
Replicas = Annotated[int, AfterValidator(replicas)]
AppName = Annotated[str, AfterValidator(app_name)]


class IdleClose(StrEnum):
    """Whether the windows of a silent scope close, and what says that its log is silent."""

    on = "on"  # an empty fetch
    off = "off"
    marker = "marker"  # a record that the worker writes into the input


class Native(StrEnum):
    """Whether the native core is used."""

    auto = "auto"  # where it is built
    on = "on"  # a start without it is refused
    off = "off"


class ScopeKind(StrEnum):
    """Which ticks share one stream time."""

    SYMBOL = "symbol"
    BROKER = "broker"
    PARTITION = "partition"


class TimeUnit(StrEnum):
    """The unit of `ts` in a tick."""

    s = "s"
    ms = "ms"
    us = "us"
    ns = "ns"


class NumberUnit(StrEnum):
    """The unit of event times that are numbers in the records."""

    same = ""  # that of `time_unit`
    s = "s"
    ms = "ms"
    us = "us"
    ns = "ns"


class TicksFormat(StrEnum):
    """How the values of ticks are encoded."""

    json = "json"
    avro = "avro"
    protobuf = "protobuf"


class BarsFormat(StrEnum):
    """How final bars are encoded."""

    json = "json"
    avro = "avro"
    protobuf = "protobuf"


class Prices(StrEnum):
    """Which prices a tick may have."""

    positive = "positive"
    any = "any"


class Price(StrEnum):
    """Which of a tick's prices makes the bar."""

    bid = "bid"
    ask = "ask"
    mid = "mid"
    last = "last"


class Start(StrEnum):
    """Where to begin on a partition that has never been read."""

    earliest = "earliest"
    latest = "latest"


class OnGap(StrEnum):
    """What to do if records were deleted from `ticks` before they were read."""

    stop = "stop"
    keep_going = "continue"


class MigrateOnBoot(StrEnum):
    """When a worker applies pending migrations: before it reads ticks, in the background, or never."""

    require = "require"
    background = "background"
    off = "off"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """`warn` is the former name of `background`, and still read."""
        return cls("background") if value == "warn" else None


class WebAuth(StrEnum):
    """What the web port asks of a request."""

    token = "token"  # noqa: S105  # the name of a choice, not a token
    none = "none"


class Delivery(StrEnum):
    """When the final bars are sent: at once, or in the checkpoint's transaction."""

    idempotent = "idempotent"
    transactional = "transactional"
