"""The settings of a layout, parsed and checked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tables.layouts.fields import FieldPath, TickFields, parse_fields
from tables.layouts.identity import KeyPattern, bad_name
from tables.ticks import FieldNames

OWN_KEY = "{broker}|{symbol}"
PRICES = frozenset({"bid", "ask", "last"})


@dataclass(frozen=True, slots=True)
class LayoutConfig:
    """The settings that say how a topic's records hold ticks, as the user writes them.

    `time_unit`: of the engine's event times. `number_unit`: of times that are numbers in the records; empty: `time_unit`.
    """

    price: str = "bid"
    time_unit: str = "ms"
    format: str = "json"
    fields: str = ""
    key: str = OWN_KEY
    zone: str = ""
    number_unit: str = ""

    @property
    def own(self) -> bool:
        """Whether it is the default layout."""
        return not self.changed

    @property
    def changed(self) -> str:
        """The settings that make it another layout than the default, as `name=value, ...`; empty: it is the default."""
        values = {
            "ticks_format": (self.format, "json"),
            "ticks_fields": (self.fields.strip(), ""),
            "ticks_key": (self.key, OWN_KEY),
            "ticks_zone": (self.zone, ""),
            "ticks_time_unit": (self.number_unit or self.time_unit, self.time_unit),
        }
        return ", ".join(f"{name}={value}" for name, (value, default) in values.items() if value != default)

    def parsed(self) -> ParsedLayout:
        """Parse and check everything. Raises `ValueError` with one line that names the setting, its value and the remedy."""
        try:
            fields = parse_fields(self.fields)
            paths = _paths(self.price, fields)
        except ValueError as error:
            raise ValueError(f"ticks_fields={self.fields}: {error}") from None
        try:
            key = KeyPattern(self.key)
        except ValueError as error:
            raise ValueError(f"ticks_key={self.key}: {error}") from None
        for part in prices_read(self.price):
            if fields.path(part) is None:
                raise ValueError(f"price={self.price} needs {part}: name its field in ticks_fields, as in {part}=FIELD")
        for part in ("broker", "symbol"):
            if part not in key.parts and part not in fields.sources:
                raise ValueError(
                    f"{part} comes from nowhere: write {{{part}}} in ticks_key, "
                    f"or {part}=FIELD or {part}='NAME' in ticks_fields"
                )
            constant = fields.constant(part)
            problem = "" if constant is None else bad_name(constant)
            if problem:
                raise ValueError(f"ticks_fields={self.fields}: {part}='{constant}' {problem}")
        return ParsedLayout(self, fields, paths, key, self._zone())

    def _zone(self) -> ZoneInfo | None:
        if not self.zone:
            return None
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"ticks_zone={self.zone}: there is no such time zone; write its IANA name, such as America/New_York or UTC"
            ) from None


def prices_read(price: str) -> tuple[str, ...]:
    """The parts of a tick that a `price` setting needs."""
    return ("bid", "ask") if price == "mid" else (price,)


@dataclass(frozen=True, slots=True)
class ParsedLayout:
    """The settings of a layout after their checks."""

    config: LayoutConfig
    fields: TickFields
    paths: Mapping[str, FieldPath]  # the fields that are read, by the attribute of a tick that gets them
    key: KeyPattern
    zone: ZoneInfo | None

    @property
    def names(self) -> FieldNames:
        """What the topic calls the parts that the rules check."""
        return FieldNames(*(str(self.fields.path(part) or part) for part in FieldNames._fields))


def _paths(price: str, fields: TickFields) -> dict[str, FieldPath]:
    """The fields that are read, by attribute. Raises `ValueError` where two are the same, or one is inside another."""
    prices = prices_read(price)
    attributes = {"broker": "said_broker", "symbol": "said_symbol", **dict(zip(prices, ("price", "other"), strict=False))}
    found = {
        attributes.get(part, part): source
        for part, source in fields.sources.items()
        if isinstance(source, FieldPath) and (part not in PRICES or part in prices)
    }
    for one, other in pairwise(sorted(found.values(), key=lambda path: path.names)):
        if one.names == other.names[: len(one.names)]:
            raise ValueError(f"{one} is {'named twice' if one == other else f'a field, and {other} is inside it'}")
    return found
