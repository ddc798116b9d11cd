"""Between the engine and the reference: records on the wire, and bars as objects that can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec import UNSET

from tables.bars import Bar
from tables.calendar import BASE, frame_of
from tables.config import EngineConfig
from tables.emission import Closed, unpacked
from tables.engine import Engine
from tables.window import pack_window
from tests.support import reference
from tests.support.reference import Answer, Entry, Rules


def rules_of(config: EngineConfig) -> Rules:
    """What of the settings decides about bars."""
    assert (config.time_unit, config.price) == ("ms", "bid"), "the reference knows no other"
    return Rules(
        *(config.window_size, config.grace, config.scope, config.idle_close, config.max_future, config.min_ts),
        horizon=config.correction_horizon if config.correct else None,
        delay=config.correction_delay,
        frames=tuple((frame.name, frame.size or 86_400_000) for frame in map(frame_of, config.frames)),
        day_start=config.day_start,
        flat=tuple("" if name == BASE else name for name in config.flat),
    )


def expected(log: list[Entry], config: EngineConfig, until: int | None = None, *, cut: bool = False) -> Answer:
    """What the reference says of a log; then the arrival time `until` passes; None: stop right after the last record.

    `cut`: there were records before the first one, which nobody has read.
    """
    return reference.answer(log, rules_of(config), until, cut=cut)


@dataclass(slots=True)
class Wire:
    """A Kafka record as far as the engine looks at one."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]] = ()


def wire(entry: Entry) -> Wire:
    """The record that a sender would make of an entry; of a bad one, something that is bad for its reason."""
    if entry.marker:
        return Wire(entry.offset, entry.arrival, b"", None, [("barwheel-marker", b"")])
    fields: dict[str, str] = {"ts": str(entry.ts)}
    if entry.heartbeat:
        fields["heartbeat"] = "true"
    else:
        fields["bid"] = str(entry.price) if entry.offset % 2 else f'"{entry.price}"'  # numbers and strings are both good
    if entry.qty is not None:
        fields["qty"] = str(entry.qty)
    if entry.seq:
        fields["seq"] = str(entry.seq)
    key, value = f"{entry.broker}|{entry.symbol}", text(fields)
    spoilt = {
        "json": value[:-1],
        "missing": value.replace('"bid"', '"bit"'),
        "price": text({**fields, "bid": "-1"}),
        "qty": text({**fields, "qty": "-1"}),
        "ts": text({**fields, "ts": "1399248000"}),
        "type": text({**fields, "bid": "[]"}),
    }
    value = spoilt.get(entry.bad, value)
    if entry.bad == "key":
        key = entry.symbol
    if entry.bad == "empty":
        return Wire(entry.offset, entry.arrival, key.encode(), None)
    return Wire(entry.offset, entry.arrival, key.encode(), value.encode())


def text(fields: dict[str, str]) -> str:
    """A JSON object of values that are JSON already, so that every digit stays as it was written."""
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}"


def shown(bar: Bar | reference.Bar) -> tuple[object, ...]:
    """Everything in a bar, the prices digit for digit: equal decimals may be written differently."""
    fields = [getattr(bar, name) for name in Bar.__struct_fields__ if name not in ("partial", "corrected")]
    return (
        *fields,
        bool(bar.partial),
        int(bar.corrected or 0),
        *(str(price) for price in (bar.open, bar.high, bar.low, bar.close)),
    )


def bars_of(closed: Closed) -> Iterator[Bar]:
    """The bars of one step as objects; `tables.emission.take_records` must give the same as bytes."""
    for symbol, window in zip(closed.symbols, closed.windows, strict=True):
        broker, name = symbol.name
        first_ts, last_ts = closed.times_of(window)
        # a line a group
        # fmt: off
        yield Bar(
            broker, name, closed.start, closed.end,
            window.open, window.high, window.low, window.close, window.volume, window.vwap(), window.ticks,
            first_ts, last_ts,
            closed.reason, closed.at, closed.watermark, window.first_offset, window.last_offset, closed.offset,
            closed.revision, True if closed.is_partial(window) else UNSET, closed.corrected if closed.revision else UNSET,
        )
        # fmt: on


def take_finals(engine: Engine) -> list[Bar]:
    """The bars that closed since the last call, in order."""
    return [bar for closed in unpacked(engine.take_closed()) for bar in bars_of(closed)]


def take_beyond(engine: Engine) -> tuple[list[tuple[str, Bar]], list[tuple[str, Bar]]]:
    """The longer bars and the revised bars since the last call, each with its frame, in order."""
    found: tuple[list[tuple[str, Bar]], list[tuple[str, Bar]]] = [], []
    for step in unpacked(engine.take_after_close()):
        for window, state in zip(step.windows, step.states or (), strict=step.states is not None):
            assert pack_window(window) == state
        found[step.reason == "correction"].extend((step.frame, bar) for bar in bars_of(step))
    return found
