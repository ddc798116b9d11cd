"""The settings of the connection to ksqlDB beyond its address and user: certificate, headers, time limits."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from app.settings.durations import Duration, PositiveDuration

_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*:[ \t]*(.*)")


def headers_of(text: str) -> dict[str, str]:
    """Headers by name, from `Name: value; Name: value`. Raises `ValueError`, without the text, which may be a secret."""
    found = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        header = _HEADER.fullmatch(part)
        if header is None or not header[2].isprintable():
            raise ValueError("must look like `Name: value; Name: value`")
        found[header[1]] = header[2]
    return found


def _checked(headers: SecretStr) -> SecretStr:
    headers_of(headers.get_secret_value())
    return headers


class KsqldbConnection(BaseSettings):
    """How ksqlDB is asked: a part of `Settings`."""

    ksqldb_cert_file: str = Field("", description="With `https://`: PEM file of our own certificate, if ksqlDB asks for one.")
    ksqldb_key_file: str = Field("", description="Its key, if it is not in the same file.")
    ksqldb_headers: Annotated[SecretStr, AfterValidator(_checked)] = Field(
        SecretStr(""), description="Headers of every request to ksqlDB, `Name: value; Name: value`; never shown."
    )
    ksqldb_timeout: PositiveDuration = Field(40_000, description="How long one request to ksqlDB may take.")
    ksqldb_retry_for: Duration = Field(
        0, description="How long one request to ksqlDB is retried; `0s`: 10 s at a worker's start, 15 s in a command."
    )
    ksqldb_backoff: PositiveDuration = Field(
        200, description="The wait before the first retry; it doubles at every further one, up to 5 s."
    )
