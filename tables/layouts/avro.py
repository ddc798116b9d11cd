"""Decodes Avro straight to the parts of a tick: by a function that is generated for the writer's schema.

The function is straight-line Python: it reads the fields that a tick needs, in the order in which they were written, and steps
over the others without making objects of them. docs/benchmarks.md has the figures by which it was chosen.

No text of a schema becomes part of the program: only numbers do, and names of values that are handed to it.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal, DecimalException
from typing import Any, Never, cast

from tables.layouts.avro_program import Program
from tables.layouts.avro_schema import AvroType, parse_schema
from tables.layouts.avro_times import USUAL_SIZES
from tables.layouts.config import ParsedLayout
from tables.layouts.decoded import (
    DEFAULTS,
    NUMBERS,
    DecodedTick,
    TextNumber,
    Tree,
    UnfitSchemaError,
    ascii_lines,
    double_expression,
    field_tree,
    from_float,
    part_of,
    required,
    tick_type,
    trimmed,
)
from tables.layouts.local_times import LocalTimes
from tables.layouts.times import Times
from tables.ticks import EXACT, PER_SECOND, RejectedError, shown

AvroDecoder = Callable[[bytes, int], DecodedTick]
Expression = Callable[[str], str]  # of the name of a value
_TIMES = {
    f"{local}timestamp-{name}": unit
    for local in ("", "local-")
    for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
}


def avro_decoder(schema: str, parsed: ParsedLayout, references: Sequence[str] = ()) -> AvroDecoder:
    """A decoder of what was written with a schema: it takes a value and where in it the record begins.

    The decoder raises `RejectedError`. This raises `UnfitSchemaError` where the schema lacks a field that is needed, or has it
    in a type that cannot be read.
    """
    try:
        return _decoder(parse_schema(schema, references), parsed)
    except (RecursionError, SyntaxError, MemoryError, OverflowError, struct.error) as error:
        raise UnfitSchemaError(f"it is too large, or nested too deep ({type(error).__name__})") from None


def _decoder(record: AvroType, parsed: ParsedLayout) -> AvroDecoder:
    program = Program()
    _Reader(program, parsed).record(record, field_tree(parsed.paths), "", required(parsed))
    program.read_together()
    assigned = program.targets
    program.values |= {
        "Tick": tick_type(tuple(name for name in DEFAULTS if name in assigned)),
        "Errors": (IndexError, ValueError, ArithmeticError, struct.error, RecursionError, DecimalException),
        "broken": _broken,
        "left_over": _left_over,
        "no_time": _no_time,
        "time_name": parsed.names.ts,
    }
    initial = [f"{name} = {DEFAULTS[name]}" for name in DEFAULTS if name in assigned and name not in program.always]
    given = ", ".join(name for name in DEFAULTS if name in assigned)
    body = [
        *initial,
        *program.lines,
        "if p != len(b): left_over(b, p)",
        *([] if "ts" in program.always else ["if ts is None: no_time(time_name)"]),
        f"return Tick({given})",
    ]
    function = ["def decode(b, p):", " try:", *(f"  {line}" for line in body), " except Errors as error: broken(b, error)"]
    return cast("AvroDecoder", program.compiled(function))


def _broken(value: bytes, error: Exception) -> Never:
    reason = "it ends too early" if isinstance(error, IndexError | struct.error) else str(error)
    raise RejectedError("avro", f"value: it was not written with this schema ({reason}), in {shown(value)}") from None


def _left_over(value: bytes, at: int) -> Never:
    if at > len(value):
        raise IndexError
    raise RejectedError("avro", f"value: it was not written with this schema ({len(value) - at} bytes are left over)")


def _no_time(name: str) -> Never:
    raise RejectedError("missing", f"{name}: the field is missing")


class _Reader:
    """Writes the program that reads a tick's fields."""

    def __init__(self, program: Program, parsed: ParsedLayout) -> None:
        config = parsed.config
        self._program = program
        self._price = config.price
        self._unit = config.time_unit
        self._number_unit = config.number_unit or config.time_unit
        self._times = Times(parsed.names.ts, self._number_unit, config.time_unit, parsed.zone)
        self._zone = parsed.zone

    def record(self, record: AvroType, tree: Tree, path: str, needed: Any) -> None:
        """Read the fields of a record that are in the tree, and step over the others."""
        have = {name for name, _ in record.fields}
        for attribute, wanted in needed.items():
            name = wanted.names[0]
            if name not in have:
                listed = ", ".join(sorted(have)[:20])
                part = part_of(attribute, self._price)
                raise UnfitSchemaError(f"{part}={path}{name}: record {record.name} has no such field; it has {listed}")
        for name, kind in record.fields:
            inside = tree.get(name)
            if inside is None:
                self._program.skip(kind)
            elif isinstance(inside, dict):
                deeper = {attribute: _inner(wanted) for attribute, wanted in needed.items() if wanted.names[0] == name}
                self._inside(kind, inside, f"{path}{name}.", deeper)
            else:
                self._value(kind, inside, f"{path}{name}")

    def _inside(self, kind: AvroType, tree: Tree, path: str, needed: Any) -> None:
        if kind.kind == "record":
            self.record(kind, tree, path, needed)
        elif kind.kind == "union" and any(branch.kind == "record" for branch in kind.branches):
            with self._program.union(kind) as branches:
                for branch in branches:
                    if branch.kind == "record":
                        self.record(branch, tree, path, needed)
                    else:
                        self._program.skip(branch)  # null: the fields are missing
        else:
            raise UnfitSchemaError(f"{path[:-1]}: it is {kind}, and holds no fields")

    def _value(self, kind: AvroType, attribute: str, path: str) -> None:
        """Read a field into an attribute of the tick."""
        program = self._program
        if kind.kind != "union":
            self._assign(kind, attribute, path)
            return
        fit = [branch for branch in kind.branches if self._expression(branch, attribute, path) is not None]
        if not fit:
            self._refuse(kind, attribute, path)
        with program.union(kind) as branches:
            for branch in branches:
                if branch in fit:
                    self._assign(branch, attribute, path)
                elif branch.kind != "null":
                    program.line(f"{program.value(_refuser(path, str(branch)))}()")

    def _assign(self, kind: AvroType, attribute: str, path: str) -> None:
        expression = self._expression(kind, attribute, path)
        if expression is None:
            self._refuse(kind, attribute, path)
        if attribute == "ts" and kind.kind == "long":
            value = self._program.read_time(USUAL_SIZES[_TIMES.get(kind.logical, self._number_unit)])
        else:
            value = self._program.read(kind)
        if attribute in NUMBERS and kind.kind == "string":
            for line in ascii_lines(attribute, value, expression(value), self._program.value):
                self._program.line(line)
        else:
            self._program.line(f"{attribute} = {expression(value)}")
        self._program.assigned(attribute)

    def _refuse(self, kind: AvroType, attribute: str, path: str) -> Never:
        local = kind.logical.startswith("local-") or any(branch.logical.startswith("local-") for branch in kind.branches)
        remedy = "; set ticks_zone to its time zone" if local and attribute == "ts" else ""
        part = part_of(attribute, self._price)
        raise UnfitSchemaError(f"{part}={path}: it is {kind}, which cannot be read as {part}{remedy}")

    def _expression(self, kind: AvroType, attribute: str, path: str) -> Expression | None:
        """What makes an attribute of the value that was read; None: it cannot be made of this type."""
        if attribute == "ts":
            return self._time(kind)
        if attribute in NUMBERS:
            return self._number(kind, "qty" if attribute == "qty" else "price", path)
        if attribute == "seq":
            return _as_it_is if kind.kind in ("int", "long") and not kind.logical else None
        if attribute == "heartbeat":
            return _as_it_is if kind.kind == "boolean" else None
        return self._text(kind)

    def _time(self, kind: AvroType) -> Expression | None:  # noqa: PLR0911  # one for each kind of time
        times = self._times
        if kind.kind in ("int", "long") and not kind.logical:
            return _as_it_is if times.same_unit else self._call(times.of_number)
        if kind.kind == "string" and not kind.logical:
            return self._call(times.of_text, "{}.decode()")
        if kind.kind in ("float", "double") or kind.logical == "decimal":
            number, of_number = self._number(kind, "ts", "ts"), self._call(times.of_number)
            return None if number is None else lambda x: of_number(number(x))
        unit = _TIMES.get(kind.logical)
        if unit is None:
            return None
        if kind.logical.startswith("local-"):
            return None if self._zone is None else self._call(LocalTimes(self._zone, unit, self._unit).of)
        have, want = PER_SECOND[unit], PER_SECOND[self._unit]
        if have == want:
            return _as_it_is
        return f"{{}} // {have // want}".format if have > want else f"{{}} * {want // have}".format

    def _number(self, kind: AvroType, reason: str, path: str) -> Expression | None:
        value = self._program.value
        if kind.logical == "decimal" and kind.scale:
            scale, ten = (value(Decimal(1).scaleb(exponent - kind.scale)) for exponent in (0, 1))
            multiply, trim = value(EXACT.multiply), value(trimmed)
            round_one = f"{multiply}({{0}} // 10, {ten}) if {{0}} % 100 else {trim}({{0}}, {kind.scale})"
            return f"({multiply}({{0}}, {scale}) if {{0}} % 10 else {round_one})".format
        if kind.logical == "decimal" or (kind.kind in ("int", "long") and not kind.logical):
            return self._call(Decimal)
        if kind.logical:
            return None
        if kind.kind == "double":
            return double_expression(value)
        if kind.kind == "float":
            return self._call(from_float)
        return self._call(TextNumber(path, reason).of_bytes) if kind.kind == "string" else None

    def _text(self, kind: AvroType) -> Expression | None:
        if kind.kind == "string":
            return "{}.decode()".format
        if kind.kind == "enum":
            return f"{self._program.value(kind.symbols)}[{{}}]".format
        if kind.kind == "fixed" and kind.logical == "uuid":
            return f"str({self._program.value(uuid.UUID)}(bytes={{}}))".format
        return _as_it_is if kind.kind in ("int", "long") and not kind.logical else None

    def _call(self, function: Callable[..., Any], argument: str = "{}") -> Expression:
        return f"{self._program.value(function)}({argument})".format


def _as_it_is(value: str) -> str:
    return value


def _inner(path: Any) -> Any:
    return type(path)(path.names[1:])


def _refuser(path: str, kind: str) -> Callable[[], Never]:
    def refuse() -> Never:
        raise RejectedError("type", f"{path}: it is {kind}, which cannot be read")

    return refuse
