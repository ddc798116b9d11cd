"""Event times: their unit, how far they are out of order, and the `grace` that this asks for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tables.layouts.times import Times, date_and_time
from tables.ticks import PER_SECOND, RejectedError

EARLIEST_MS, AHEAD_MS = 631_152_000_000, 86_400_000  # a time is plausible from 1990 until a day after its arrival
STEPS_MS = (
    *(0, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000),
)
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}  # of a second
_TIMES = {unit: Times("ts", unit, "ms", ZoneInfo("UTC")) for unit in PER_SECOND}  # as layouts read them


class Tick(NamedTuple):
    """A record with its times in epoch ms, and whose stream time it may share."""

    partition: int
    offset: int
    arrival: int
    ts: int
    broker: str
    symbol: str


class Disorder(NamedTuple):
    """How far ticks are behind the stream time of their scope, in ms. `share`: of the ticks that are behind it at all."""

    share: float
    p50: int  # these three: of the ticks that are behind
    p99: int
    worst: int
    back: int  # the largest step back of the arrival time within a partition
    grace: int  # the shortest usual `grace` with which 999 of 1,000 ticks would be in time, also where a scope closes by idling
    beyond: int  # ticks that are further behind than that


def in_ms(value: Any, unit: str) -> int | None:
    """An event time as epoch ms, `unit` being that of numbers; None where it is no time."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        return _TIMES[unit].of(value)
    except RejectedError:
        return None


def number_in(value: Any) -> Any:
    """The number that a text holds, as a layout reads it; any other value as it is."""
    if isinstance(value, str) and date_and_time(value) is None:
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    return value


def finest(values: Iterable[Any], unit: str) -> str:
    """The coarsest unit in which none of these times, numbers in `unit` or text, loses a digit; of text `ms` at most."""
    digits = 0
    for value in map(number_in, values):
        if isinstance(value, str):
            found = date_and_time(value)
            digits = max(digits, _DIGITS["ms"], len(found.fraction.rstrip("0")) if found else 0)
        elif isinstance(value, Decimal) and value.is_finite():
            places = -int(value.normalize().as_tuple().exponent)
            digits = max(digits, _DIGITS[unit] + max(0, places))
        else:
            digits = max(digits, _DIGITS[unit])
    return next((name for name, known in _DIGITS.items() if known >= digits), "ns")


def has_zone(text: str) -> bool:
    """Whether a time as text says its offset."""
    found = date_and_time(text)
    return found is not None and bool(found.offset)


def unit_of(values: Iterable[tuple[Any, int]]) -> str | None:
    """The unit of these event times, given with their arrivals (epoch ms); None where none makes most of them plausible.

    The units are a thousand apart, so one is plausible at most.
    """
    known = list(values)
    for unit in PER_SECOND:
        times = [(in_ms(value, unit), arrival) for value, arrival in known]
        fit = sum(ms is not None and EARLIEST_MS <= ms <= max(arrival, EARLIEST_MS) + AHEAD_MS for ms, arrival in times)
        if known and fit * 10 > len(known) * 9:
            return unit
    return None


def disorder(ticks: Sequence[Tick], scope_of: Callable[[Tick], object]) -> Disorder:
    """How far ticks are out of order in the scopes. `ticks`: by partition and offset."""
    stream: dict[object, tuple[int, int]] = {}  # scope: stream time, and the arrival that moved it
    behind: list[int] = []
    needed: list[int] = []
    arrived: dict[int, int] = {}
    back = 0
    for tick in ticks:
        back = max(back, arrived.get(tick.partition, tick.arrival) - tick.arrival)
        now = arrived[tick.partition] = max(arrived.get(tick.partition, tick.arrival), tick.arrival)
        scope = tick.partition, scope_of(tick)
        time, at = stream.get(scope, (tick.ts, now))
        if tick.ts < time:
            behind.append(time - tick.ts)
        # A silent scope's stream time goes on with the arrival time: what comes after a pause must not be further behind.
        needed.append(max(0, time + now - at - tick.ts))
        if tick.ts >= time:
            stream[scope] = tick.ts, now
    behind.sort()
    grace = usual(_quantile(sorted(needed), 0.999))
    return Disorder(
        len(behind) / len(ticks) if ticks else 0.0,
        _quantile(behind, 0.5),
        _quantile(behind, 0.99),
        behind[-1] if behind else 0,
        back,
        grace,
        sum(one > grace for one in needed),
    )


def usual(at_least: int) -> int:
    """The shortest usual duration that is not below `at_least`; ms."""
    return next((step for step in STEPS_MS if step >= at_least), STEPS_MS[-1])


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
