"""Checks that ticks fit the columns of the shipped plans. ksqlDB silently drops those that do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from app.settings import PREFIX, Settings
from app.settings.types import BarsFormat, Price, TimeUnit


class _Numbers(msgspec.Struct):
    ts: int | str = 0
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    qty: Decimal | None = None


_decode = msgspec.json.Decoder(_Numbers).decode


@dataclass(frozen=True)
class Misfit:
    """What is lost, and a remedy."""

    text: str
    advice: str
    level: str = "wrong"


def misfits(settings: Settings, ticks: Iterable[tuple[bytes | None, bytes | None]]) -> list[Misfit]:
    """Misfits of the settings, and of some ticks (key and value): the first of each kind."""
    misfits = []
    if settings.time_unit is not TimeUnit.ms:
        text = f"time_unit={settings.time_unit.value}, and the shipped plans read ts as milliseconds"
        advice = "do not use ksqlDB's stream `ticks` and the plan bar1m; the bars themselves are in milliseconds"
        misfits.append(Misfit(text, advice))
    if settings.price is not Price.bid:
        text = f"price={settings.price.value}, and the plan bar1m makes bars of bid"
        misfits.append(Misfit(text, "the two cannot be reconciled", level="note"))
    if settings.bars_format is not BarsFormat.json:
        text = f"bars_format={settings.bars_format.value}: the shipped plan reads it if ksqlDB knows the same Schema Registry"
        misfits.append(Misfit(text, "set ksql.schema.registry.url there to that of schema_registry_url", level="note"))
    if settings.layout.changed:
        text = f"{settings.layout.changed}, and the shipped plans read ticks in the default layout"
        return [
            *misfits,
            Misfit(text, "do not use ksqlDB's stream `ticks` and the plan bar1m; the bars themselves fit", level="note"),
        ]
    by_kind: dict[str, Misfit] = {}
    for key, value in ticks:
        kind, text = misfit(settings, value or b"")
        if text:
            where = f"a tick of {(key or b'?').decode(errors='replace')} has {text}"
            advice = {
                "scale": f"set {PREFIX}KSQLDB_SCALE (ksqldb_scale={settings.ksqldb_scale})",
                "whole": f"set {PREFIX}KSQLDB_PRECISION (ksqldb_precision={settings.ksqldb_precision})",
                "time": "ksqlDB reads only epoch milliseconds",
            }[kind]
            by_kind.setdefault(kind, Misfit(f"{where}: ksqlDB drops it silently", advice))
    return [*misfits, *by_kind.values()]


def misfit(settings: Settings, value: bytes) -> tuple[str, str]:
    """The kind and text of a misfit; empty if the tick fits, and for a value that is no tick."""
    try:
        tick = _decode(value)
    except msgspec.MsgspecError:
        return "", ""
    if isinstance(tick.ts, str) and not tick.ts.lstrip("-").isdigit():
        return "time", f"ts={tick.ts[:40]!r}"
    for name in ("bid", "ask", "last", "qty"):
        number: Decimal | None = getattr(tick, name)
        if number is None or not number.is_finite():
            continue
        _, digits, exponent = number.normalize().as_tuple()
        if -int(exponent) > settings.ksqldb_scale:
            return "scale", f"{name}={number}, {-int(exponent)} decimals"
        if len(digits) + int(exponent) > settings.ksqldb_precision - settings.ksqldb_scale:
            return "whole", f"{name}={number}, {len(digits) + int(exponent)} digits before the point"
    return "", ""
