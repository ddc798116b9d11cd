"""What the market sent, and the records of the topics afterwards: what the judge compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from tests.support.reference_records import Record

SERIAL = "n"  # the header with the number of a record of the market


class Label(StrEnum):
    """The label of a record."""

    tick = "tick"
    invalid = "invalid"
    heartbeat = "heartbeat"


class Sent(NamedTuple):
    """One record, to be sent at `at_ms` (epoch ms)."""

    at_ms: int
    partition: int
    key: bytes
    value: bytes
    label: Label


@dataclass
class SentLog:
    """Everything that was sent: `records[serial]`, and where the broker says that it is."""

    records: list[Sent] = field(default_factory=list)
    acknowledged: dict[int, tuple[int, int]] = field(default_factory=dict)  # serial: partition and offset
    acknowledged_ms: dict[int, int] = field(default_factory=dict)  # serial: when its producer knew, epoch ms
    repeated: Counter[int] = field(default_factory=Counter)  # serial: times sent again after an error


class Stored(Record, Protocol):
    """A record of a topic, as a consumer of committed records saw it."""

    @property
    def partition(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, bytes]: ...
