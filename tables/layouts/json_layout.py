"""JSON with any names: decodes only the fields that a tick needs, nested ones as well, without a dictionary between."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any, cast

import msgspec

from tables.layouts.config import ParsedLayout
from tables.layouts.fields import FieldPath
from tables.layouts.identity import Identities
from tables.layouts.layout import unwrapped
from tables.layouts.times import NOT_OF_FORM, TimeForm, Times
from tables.records import DecodedRecord, Record, is_marker
from tables.ticks import PER_SECOND, Int64, RawTick, RejectedError, shown

_PLACE = re.compile(r" - at `\$\.(.*)`$", re.DOTALL)
_TYPES: Mapping[str, tuple[Any, Any]] = {  # the attributes other than `ts`; their values where a field is absent
    "price": (Decimal | None, None),
    "other": (Decimal | None, None),
    "qty": (Decimal | None, None),
    "seq": (Int64, 0),
    "heartbeat": (bool, False),
    "said_broker": (str | int | None, None),
    "said_symbol": (str | int | None, None),
}
_REASONS = {"price": "price", "other": "price", "qty": "qty"}
_IDENTITY = {"broker": None, "symbol": None}  # the engine has nothing to compare with the key: `Identities` has
_UNUSUAL = (msgspec.MsgspecError, RejectedError, KeyError, AttributeError, TypeError, RecursionError, *NOT_OF_FORM)
Decode = Callable[[Any], Any]
_number = msgspec.json.Decoder(int | Decimal).decode
_text = msgspec.json.Decoder(str).decode


class JsonLayout:
    """A `TickLayout`. Times may be numbers or text, and change from one record to the next."""

    def __init__(self, parsed: ParsedLayout) -> None:
        """Raises `ValueError` where a field is named twice."""
        config, fields = parsed.config, parsed.fields
        self.names = parsed.names
        self.decode: Callable[[Any], RawTick] = unwrapped
        self._parsed = parsed
        self._units = PER_SECOND[config.number_unit or config.time_unit]
        self._identities = Identities(parsed.key, fields.sources.get("broker"), fields.sources.get("symbol"))
        self._times = Times(self.names.ts, config.number_unit or config.time_unit, config.time_unit, parsed.zone)
        self._values = JsonValues(parsed.paths, self._times)

    def decoded(self, records: Iterable[Record]) -> Iterator[DecodedRecord]:
        """See `TickLayout`. What is usual is inline: calls for each record would cost as much as all the rest."""
        values, slow, identities = self._values, self._tick, self._identities
        assemble, by_value, by_key = values.assemble, identities.by_value, identities.by_key
        known, said, make = identities.known, identities.known_said, identities.of_record
        number, whole = self._times.of_number, self._times.same_unit
        decode, form = values.usual
        for record in records:
            value = record.value
            key: bytes | None
            try:
                tick = decode(value)
                if assemble is not None:
                    tick = assemble(tick)
                ts = tick.ts
                if form is not None:
                    if type(ts) is not str:
                        ts = bytes(ts)
                    cut, heads, tails = form
                    tick.ts = heads[ts[:cut]] + tails[ts[cut:]]
                elif type(ts) is not int or not whole:
                    tick.ts = number(ts)
                try:
                    if by_value and not (tick.said_broker is None is tick.said_symbol):
                        key = said[record.key if by_key else None, tick.said_broker, tick.said_symbol]
                    else:
                        key = known[record.key]
                except KeyError:  # a new one
                    key = make(record.key, tick.said_broker, tick.said_symbol)
            except _UNUSUAL:
                if not value and is_marker(record):
                    yield record, None, None
                    continue
                tick, key = slow(record)
                decode, form = values.usual
            yield record, key, tick

    def _tick(self, record: Record) -> tuple[Any, bytes | None]:
        """The tick and the identity of any record; a `RejectedError` and None where there is none."""
        try:
            tick = self._values.decode(record.value)
            tick.ts = self._times.of(tick.ts)
            return tick, self._identities.of_record(record.key, tick.said_broker, tick.said_symbol)
        except RejectedError as error:
            return error, None

    def name_of(self, record: Record) -> tuple[str, str]:
        """See `TickLayout`."""
        return self._identities.name_of(record.key, lambda: self._values.decode(record.value))

    @property
    def no_heartbeats(self) -> str:
        """See `TickLayout`."""
        if self._parsed.fields.path("heartbeat") is None:
            return f"ticks_fields={self._parsed.config.fields} names no field for heartbeats: name one, as in heartbeat=FIELD"
        return ""

    def heartbeat(self, key: bytes, ms: int) -> tuple[bytes | None, bytes]:
        """See `TickLayout`. Raises `ValueError` where the names cannot be written so that they are read back."""
        broker, _, symbol = key.decode().partition("|")
        value: dict[str, Any] = {}
        parts = {"ts": -(-ms * self._units // 1_000), "heartbeat": True, "broker": broker, "symbol": symbol}
        for part, content in parts.items():
            path = self._parsed.fields.path(part)
            if path is not None:
                inside = value
                for name in path.names[:-1]:
                    inside = inside.setdefault(name, {})
                inside[path.names[-1]] = content
        own_key = self._parsed.key.format(broker, symbol)
        said = (None if self._parsed.fields.path(part) is None else str(parts[part]) for part in ("broker", "symbol"))
        try:
            same = self._identities.of_record(own_key, *said) == key
        except RejectedError:
            same = False
        if not same:
            raise ValueError(f"{key.decode()}: a key of the form ticks_key={self._parsed.key.text} cannot name it")
        return own_key, msgspec.json.encode(value)


class JsonValues:
    """Decodes the values of one topic to objects with the attributes of `RawTick`, and said_broker and said_symbol.

    `ts` is a number, text, or None.
    """

    def __init__(self, paths: Mapping[str, FieldPath], times: Times) -> None:
        """`paths`: the fields, by attribute."""
        self._paths = paths
        self._times = times
        self._attributes = {".".join(path.names): attribute for attribute, path in paths.items()}
        self._numbers, self._texts, self._any = self._decoder(int), self._decoder(str), self._decoder(msgspec.Raw)
        # What fits the last record: a decoder, and how the text is read that it gives for a time, None if it gives an integer.
        # The two raise `_UNUSUAL` for a time of another kind, and for None.
        self.usual: tuple[Decode, TimeForm | None] = (self._numbers, None)
        flat = all(len(path.names) == 1 for path in paths.values())
        self.assemble = None if flat else self._assembling()  # makes a tick of what `usual` gives, if it is none yet

    def decode(self, value: bytes | None) -> Any:
        """The tick of any value, whatever kind of time it has. Raises `RejectedError` with the name of the field."""
        if not value:
            raise RejectedError("empty", "the record has no value")
        try:
            raw = self._any(value)
            tick = raw if self.assemble is None else self.assemble(raw)
            if tick.ts is not None:
                self.usual, tick.ts = self._time(bytes(tick.ts), value)
        except msgspec.ValidationError as error:
            raise self._rejected(error, value) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise RejectedError("json", f"value: {error}, in {shown(value)}") from None
        return tick

    def _time(self, raw: bytes, value: bytes) -> tuple[tuple[Decode, TimeForm | None], int | Decimal | str]:
        """What fits times of this kind, and the time."""
        if raw.startswith(b'"'):
            text = _text(raw)
            return (self._texts, self._times.form_of(text)), text
        try:
            number = _number(raw)
        except msgspec.ValidationError as error:
            problem = str(error).replace("`int | decimal`", "a number or text")
            raise RejectedError("type", f"{self._paths['ts']}: {problem}, in {shown(value)}") from None
        usual = (self._numbers, None) if isinstance(number, int) else (self._any, self._times.number_bytes)
        return usual, number

    def _rejected(self, error: msgspec.ValidationError, value: bytes) -> RejectedError:
        text = str(error)
        place = _PLACE.search(text)
        attribute = self._attributes.get(place[1], "") if place else ""
        reason = _REASONS.get(attribute, "type") if "decimal string" in text else "type"
        field = str(self._paths[attribute]) if attribute else place[1] if place else "value"
        return RejectedError(reason, f"{field}: {text.split(' - at', maxsplit=1)[0]}, in {shown(value)}")

    def _decoder(self, time: Any) -> Decode:
        """A decoder of the records that hold the fields; its structs have `ts` of this type."""
        types = {**_TYPES, "ts": (time, None)}
        by_names = {path.names: attribute for attribute, path in self._paths.items()}
        absent = {name: default for name, (_, default) in types.items() if name not in self._paths} | _IDENTITY
        return cast("Decode", msgspec.json.Decoder(_struct(by_names, types, absent)).decode)

    def _assembling(self) -> Decode:
        """A function that makes a tick of the nested structs."""
        present = list(self._paths)
        kinds = [(name, Any) for name in present]
        absent = [(name, Any, default) for name, (_, default) in _TYPES.items() if name not in self._paths]
        tick = cast("Any", msgspec.defstruct("Tick", [*kinds, *absent], namespace=dict(_IDENTITY), gc=False))
        routes = [_route(self._paths, attribute) for attribute in present]
        defaults = [_TYPES[name][1] if name in _TYPES else None for name in present]
        values, singles = attrgetter(*routes), [attrgetter(route) for route in routes]

        def tick_of(raw: Any) -> Any:
            try:
                return tick(*values(raw))
            except AttributeError:  # a record is null
                return tick(*(_value(one, raw, default) for one, default in zip(singles, defaults, strict=True)))

        return tick_of


def _value(get: Callable[[Any], Any], raw: Any, default: Any) -> Any:
    try:
        return get(raw)
    except AttributeError:
        return default


def _node(paths: Iterable[tuple[str, ...]], name: str) -> str:
    """The attribute of a nested struct: field names are free, attributes are not."""
    names = sorted({path[0] for path in paths if len(path) > 1})
    return f"in{names.index(name)}"


def _route(paths: Mapping[str, FieldPath], attribute: str) -> str:
    """How to get from the outermost struct to an attribute, with dots."""
    level = [path.names for path in paths.values()]
    names, route = paths[attribute].names, []
    while len(names) > 1:
        route.append(_node(level, names[0]))
        level = [path[1:] for path in level if path[0] == names[0] and len(path) > 1]
        names = names[1:]
    return ".".join([*route, attribute])


def _struct(
    fields: Mapping[tuple[str, ...], str], types: Mapping[str, tuple[Any, Any]], absent: Mapping[str, Any] | None = None
) -> Any:
    """A struct for these fields; records inside become structs. `absent`: values of attributes that no field has.

    A record that is absent is one without fields.
    """
    made: list[Any] = []
    rename: dict[str, str] = {}
    inside: dict[str, dict[tuple[str, ...], str]] = {}
    for path, attribute in fields.items():
        if len(path) > 1:
            inside.setdefault(path[0], {})[path[1:]] = attribute
        else:
            made.append((attribute, *types[attribute]))
            rename[attribute] = path[0]
    for name, further in inside.items():
        node, nested = _node(fields, name), _struct(further, types)
        made.append((node, nested | None, nested()))
        rename[node] = name
    top = absent is not None
    return msgspec.defstruct("Record", made, rename=rename, namespace=dict(absent or {}), frozen=not top, gc=False)
