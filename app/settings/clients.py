"""The settings of the Kafka clients: what producers and the consumer of the input trade CPU, bytes and time for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from app.settings.durations import Duration, duration_text

LONGEST_LINGER = 1_000
FETCH_WAIT_RANGE = (10, 5_000)


class Compression(StrEnum):
    """The codec of the batches that we write."""

    none = "none"
    snappy = "snappy"
    lz4 = "lz4"
    zstd = "zstd"


def _linger(value: int) -> int:
    if value > LONGEST_LINGER:
        raise ValueError(f"at most {duration_text(LONGEST_LINGER)}: bars are later by it")
    return value


def _fetch_wait(value: int) -> int:
    shortest, longest = FETCH_WAIT_RANGE
    if not shortest <= value <= longest:
        raise ValueError(f"must lie between {duration_text(shortest)} and {duration_text(longest)}")
    return value


class ClientTuning(BaseSettings):
    """How batches are written and fetched: a part of `Settings`."""

    compression: Compression = Field(
        Compression.snappy, description="Codec of the batches that we write: `none`, `snappy`, `lz4` or `zstd`."
    )
    linger: Annotated[Duration, AfterValidator(_linger)] = Field(
        0, description="How long bars wait for those of other partitions, to leave in the same request; at most 1s."
    )
    fetch_min_bytes: int = Field(
        1,
        ge=1,
        le=1 << 20,
        description="Bytes of ticks that the broker waits for before it answers, at most for `fetch_max_wait`.",
    )
    fetch_max_wait: Annotated[Duration, AfterValidator(_fetch_wait)] = Field(
        200, description="How long the broker may hold a fetch; bars of a silent market are later by this much at most."
    )
