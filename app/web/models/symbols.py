"""Symbols as the API shows them. Times are epoch ms (UTC)."""

from __future__ import annotations

from pydantic import Field

from app.web.models.base import ApiModel, Away


class SymbolRow(ApiModel):
    """One symbol of one broker."""

    broker: str
    symbol: str
    partition: int
    last_start: int | None = Field(description="bucket_start of its newest final bar; null before its first bar.")
    open: bool | None = Field(description="Whether it has an open window; null if its owner could not be asked.")


class BrokerName(ApiModel):
    """A broker that has bars."""

    broker: str


class Brokers(ApiModel):
    """The brokers that have bars in the read model, by name."""

    brokers: list[BrokerName]
    complete: bool = Field(description="Whether the read model has caught up with the finals topic.")


class Symbols(ApiModel):
    """A page of symbols."""

    symbols: list[SymbolRow]
    next_cursor: str | None
    away: list[Away] = Field(default=[])
