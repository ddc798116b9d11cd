"""The parameters of each endpoint, in its path and its query, as types; what is not named is refused."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

LATEST = 253_402_300_799_999  # the last ms of the year 9999
_WHOLE = re.compile(r"-?[0-9]{1,18}")


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^|\x00-\x1f\x7f-\x9f]+$")]
Moment = Annotated[int, Field(ge=0, le=LATEST)]
Cursor = Annotated[
    str,
    Field(min_length=1, max_length=2_000, pattern=r"^[A-Za-z0-9_-]+$", description="The `next_cursor` of an earlier answer."),
]
Local = Annotated[Literal["true", "false"], Field(description="`true`: what this worker owns alone; nobody else is asked.")]


class Asked(BaseModel):
    """The base: no parameters."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: object, about: ValidationInfo) -> object:
        """A number is digits, and nothing else that Python would read as one."""
        number = int in _kinds(cls.model_fields[about.field_name or ""].annotation)
        if number and isinstance(value, str) and not _WHOLE.fullmatch(value):
            raise ValueError("must be a whole number")
        return value


def _kinds(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) or (annotation,)


class AccountingAsked(Asked):
    """Whose accounting."""

    workers: Annotated[Literal["me", "all"], Field(description="`all` adds what the other workers own.")] = "me"


class PartitionsAsked(Asked):
    """Which partitions."""

    local: Local = "false"


class SymbolsAsked(Asked):
    """Which symbols."""

    prefix: Annotated[str, Field(max_length=200, description="Of the symbol, or of `broker|symbol`; case does not matter.")] = (
        ""
    )
    broker: Name | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Cursor | None = None
    local: Local = "false"


class WindowsAsked(Asked):
    """Which open windows."""

    broker: Name | None = None
    symbol: Name | None = None
    partition: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000, description="Symbols; one may have more than one open window.")] = 100
    cursor: Cursor | None = None
    local: Local = "false"


class BarsAsked(Asked):
    """Which bars."""

    broker: Annotated[Name, Field(examples=["fxcm"])]
    symbol: Annotated[Name, Field(examples=["EURUSD"])]
    since: Annotated[Moment, Field(alias="from", description="First bucket_start.")] = 0
    until: Annotated[Moment, Field(alias="to", description="Bars that start before this.")] = LATEST
    limit: Annotated[int, Field(ge=1, le=5_000)] = 500
    cursor: Cursor | None = None
    format: Annotated[Literal["objects", "columns"], Field(description="`columns` is small.")] = "objects"


class NewestAsked(Asked):
    """Which of the newest bars."""

    broker: Name | None = None
    symbol: Name | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 200


class WhyAsked(Asked):
    """Which window."""

    broker: Annotated[Name, Field(examples=["fxcm"])]
    symbol: Annotated[Name, Field(examples=["EURUSD"])]
    bucket_start: Annotated[Moment, Field(examples=[1_399_248_000_000], description="A whole number of window sizes.")]
    local: Local = "false"


class SideAsked(Asked):
    """Which late or rejected records."""

    broker: Name | None = None
    symbol: Name | None = None
    reason: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: Cursor | None = None


class EventsAsked(Asked):
    """What to be told of."""

    broker: Name | None = None
    symbol: Annotated[Name, Field(description="With `broker`: its open window is told of too.")] | None = None
