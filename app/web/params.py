"""The path and query parameters of each endpoint. A parameter that is not declared here is refused."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from app.bar_columns import DEFAULT_SCALE, MAX_SCALE
from app.web.segments import name_of

MAX_BARS = 5_000  # of one symbol in one answer
MAX_TIMESTAMP = 253_402_300_799_999  # the last ms of the year 9999 (UTC)
_INTEGER = re.compile(r"-?[0-9]{1,18}")

# as long as a record key may be; neither `|`, which separates broker and symbol in record keys, nor control characters
Name = Annotated[str, Field(min_length=1, max_length=1_024, pattern=r"^[^|\x00-\x1f\x7f-\x9f]+$")]
PathName = Annotated[
    Name,
    BeforeValidator(name_of),
    Field(description="Any name may have `%7C` in front. `.` and `..` need it: clients take these two out of a path."),
]
Timestamp = Annotated[int, Field(ge=0, le=MAX_TIMESTAMP)]
Cursor = Annotated[
    str,
    Field(min_length=1, max_length=3_500, pattern=r"^[A-Za-z0-9_-]+$", description="The `next_cursor` of an earlier response."),
]
FrameName = Annotated[
    str,
    Field(
        min_length=2,
        max_length=8,
        description="Length of the bars: `5m`, `1h` and the like, `1d`, `1w` or `1M`; the window size without it.",
        json_schema_extra={"pattern": "^([1-9][0-9]{0,6}[smh]|1d|1w|1M)$"},
        examples=["1h"],
    ),
]
Local = Annotated[
    Literal["true", "false"],
    Field(description="`true`: only what this worker owns; no other worker is asked."),
]
Scale = Annotated[
    int, Field(ge=0, le=MAX_SCALE, description="Decimals of the prices in an Arrow stream, which have 38 digits.")
]


class Params(BaseModel):
    """The base class of parameters, and the parameters of an endpoint that takes none."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _only_digits(cls, value: object, info: ValidationInfo) -> object:
        """Refuse integers in notations that Python accepts besides plain digits, such as `1_0`, ` 5` and `+5`."""
        is_integer = int in _types(cls.model_fields[info.field_name or ""].annotation)
        if is_integer and isinstance(value, str) and not _INTEGER.fullmatch(value):
            raise ValueError("must be a whole number")
        return value


def _types(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) or (annotation,)


class AccountingParams(Params):
    """Selects whose accounting is returned."""

    workers: Annotated[Literal["me", "all"], Field(description="`all` adds the partitions of the other workers.")] = "me"


class PartitionsParams(Params):
    """Selects partitions."""

    local: Local = "false"


class BrokersParams(Params):
    """Selects the first brokers by name."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000


class SymbolsParams(Params):
    """Selects symbols."""

    prefix: Annotated[
        str, Field(max_length=1_024, description="Prefix of the symbol, or of `broker|symbol`; case is ignored.")
    ] = ""
    broker: Name | None = None
    symbol: Annotated[Name, Field(description="Only this symbol, of each broker; the prefix is ignored.")] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Cursor | None = None
    local: Local = "false"


class WindowsParams(Params):
    """Selects open windows, or closed windows that can still be revised."""

    broker: Name | None = None
    symbol: Name | None = None
    partition: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    limit: Annotated[
        int, Field(ge=1, le=1_000, description="Number of symbols; a symbol can have more than one open window.")
    ] = 100
    frame: FrameName | None = None
    state: Annotated[
        Literal["open", "correctable"],
        Field(description="`correctable`: closed windows of one symbol, of all frames, that late ticks can still revise."),
    ] = "open"
    cursor: Cursor | None = None
    local: Local = "false"


class ChartParams(Params):
    """Whose chart a page shows."""

    broker: PathName
    symbol: PathName


class LiveParams(Params):
    """Whose bars a page shows as they come; without them, everybody's."""

    broker: Name | None = None
    symbol: Name | None = None


class BarsParams(Params):
    """Selects the bars of one symbol."""

    broker: Annotated[PathName, Field(examples=["fxcm"])]
    symbol: Annotated[PathName, Field(examples=["EURUSD"])]
    since: Annotated[Timestamp, Field(alias="from", description="First bucket_start (epoch ms).")] = 0
    until: Annotated[Timestamp, Field(alias="to", description="Only bars that start before this (epoch ms).")] = MAX_TIMESTAMP
    limit: Annotated[int, Field(ge=1, le=MAX_BARS)] = 500
    cursor: Cursor | None = None
    frame: FrameName | None = None
    revisions: Annotated[
        Literal["newest", "all"],
        Field(description="`all`: every version of each bar that is known; `limit` counts bars all the same."),
    ] = "newest"
    format: Annotated[
        Literal["objects", "columns"], Field(description="`columns` gives fewer fields, as rows without names.")
    ] = "objects"
    scale: Scale = DEFAULT_SCALE


class NewestBarsParams(Params):
    """Selects among the newest bars of all symbols."""

    broker: Name | None = None
    symbol: Name | None = None
    frame: FrameName | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 200
    cursor: Cursor | None = None
    scale: Scale = DEFAULT_SCALE


class WhyParams(Params):
    """Selects one window."""

    broker: Annotated[PathName, Field(examples=["fxcm"])]
    symbol: Annotated[PathName, Field(examples=["EURUSD"])]
    bucket_start: Annotated[
        Timestamp, Field(examples=[1_399_248_000_000], description="Start of the window (epoch ms), a multiple of its size.")
    ]
    frame: FrameName | None = None
    partition: Annotated[
        int | None,
        Field(ge=0, le=1_000_000, description="Only what is in this partition; of use where a symbol lives in two."),
    ] = None
    local: Local = "false"


class RejectedParams(Params):
    """Selects rejected records. They are of no window, so no range of windows selects them."""

    broker: Name | None = None
    symbol: Name | None = None
    reason: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: Cursor | None = None


class LateParams(RejectedParams):
    """Selects late ticks."""

    since: Annotated[Timestamp, Field(alias="from", description="Only of windows that start then or later.")] = 0
    until: Annotated[Timestamp, Field(alias="to", description="Only of windows that start before this.")] = MAX_TIMESTAMP


class EventsParams(Params):
    """Selects the bars of an event stream."""

    broker: Name | None = None
    symbol: Annotated[Name, Field(description="With `broker`: the stream also has the symbol's open windows.")] | None = None
    frame: FrameName | None = None
