"""The base of all response models, the error document, and the JSON encoder of responses and events."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Exact = Annotated[Decimal, WithJsonSchema({"type": "number"})]
encode = msgspec.json.Encoder(decimal_format="number").encode  # every digit of a Decimal, as a JSON number


class ApiModel(BaseModel):
    """The base class of responses. It has no fields besides the declared ones."""

    model_config = ConfigDict(extra="forbid")


class ParameterError(ApiModel):
    """One parameter that cannot be used."""

    name: str
    value: str
    message: str


class Problem(ApiModel):
    """An error as problem details (RFC 9457)."""

    type: str = Field(default="about:blank", description="Always about:blank: the status says what kind of problem it is.")
    title: str
    status: int
    detail: str
    errors: list[ParameterError] = []


class UdfProblem(Problem):
    """The same for clients of UDF, which read `s` and `errmsg` and not the status."""

    s: Literal["error"] = "error"
    errmsg: str


class Away(ApiModel):
    """Partitions whose owner could not be asked, and why. The response does not cover them."""

    partitions: list[int]
    url: str | None = Field(description="Web port of the worker that owns them; null if it is not known.")
    reason: str
