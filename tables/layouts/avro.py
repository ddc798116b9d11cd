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
from tables.layouts.decoded import (
    DecodedTick,
    Tree,
    UnfitSchemaError,
    field_tree,
    from_double,
    from_float,
    from_text,
    parts,
    required,
    trimmed,
)
from tables.layouts.fields import TickFields
from tables.ticks import EXACT, PER_SECOND, RejectedError, shown

AvroDecoder = Callable[[bytes, int], DecodedTick]
_TIMES = {
    f"{local}timestamp-{name}": PER_SECOND[unit]
    for local in ("", "local-")
    for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
}
_NUMBERS = frozenset({"bid", "ask", "last", "qty"})


def avro_decoder(schema: str, fields: TickFields, *, price: str, time_unit: str, references: Sequence[str] = ()) -> AvroDecoder:
    """A decoder of what was written with a schema: it takes a value and where in it the record begins.

    Times are in `time_unit`. The decoder raises `RejectedError`. This raises `UnfitSchemaError` where the schema lacks a field
    that is needed, or has it in a type that cannot be read.
    """
    record = parse_schema(schema, references)
    needed = required(fields, price)
    program = Program()
    _Reader(program, parts(price), time_unit).record(record, field_tree(fields, price), "", needed)
    names = parts(price)
    assigned = {names[target] for target in program.targets}
    program.values |= {
        "Tick": DecodedTick,
        "Errors": (IndexError, ValueError, ArithmeticError, struct.error, RecursionError, DecimalException),
        "broken": _broken,
        "left_over": _left_over,
        "no_time": _no_time,
        "time_name": str(fields.path("ts")),
    }
    initial = [f"{name} = {_DEFAULTS[name]}" for name in _DEFAULTS if name in assigned]
    given = ", ".join(name if name in assigned else _DEFAULTS[name] for name in _DEFAULTS)
    body = [
        *initial,
        *program.lines,
        "if p != len(b): left_over(b, p)",
        "if ts is None: no_time(time_name)",
        f"return Tick({given})",
    ]
    function = ["def decode(b, p):", " try:", *(f"  {line}" for line in body), " except Errors as error: broken(b, error)"]
    return cast("AvroDecoder", program.compiled(function))


_DEFAULTS = {
    "ts": "None",
    "price": "None",
    "other": "None",
    "qty": "None",
    "seq": "0",
    "heartbeat": "False",
    "broker": "None",
    "symbol": "None",
}


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

    def __init__(self, program: Program, names: dict[str, str], time_unit: str) -> None:
        self._program = program
        self._names = names
        self._per_second = PER_SECOND[time_unit]

    def record(self, record: AvroType, tree: Tree, path: str, needed: Any) -> None:
        """Read the fields of a record that are in the tree, and step over the others."""
        have = {name for name, _ in record.fields}
        for target, wanted in needed.items():
            name = wanted.names[0]
            if name not in have:
                listed = ", ".join(sorted(have)[:20])
                raise UnfitSchemaError(f"{target}: {path}{name}: record {record.name} has no such field; it has {listed}")
        for name, kind in record.fields:
            inside = tree.get(name)
            if inside is None:
                self._program.skip(kind)
            elif isinstance(inside, dict):
                deeper = {target: _inner(wanted) for target, wanted in needed.items() if wanted.names[0] == name}
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

    def _value(self, kind: AvroType, targets: list[str], path: str) -> None:
        """Read a field into the parts of a tick that it holds."""
        first, *others = targets
        if kind.kind == "union":
            fit = [branch for branch in kind.branches if self._expression(branch, first, path) is not None]
            if not fit:
                self._refuse(kind, first, path)
            with self._program.union(kind) as branches:
                for branch in branches:
                    if branch in fit:
                        self._assign(branch, first, path)
                    elif branch.kind != "null":
                        refuse = self._program.value(_refuser(path, str(branch)))
                        self._program.line(f"{refuse}()")
        else:
            self._assign(kind, first, path)
        self._program.targets.add(first)
        for other in others:
            if (other in _NUMBERS) is not (first in _NUMBERS):
                raise UnfitSchemaError(f"{path}: it cannot be {first} and {other} at once")
            self._program.targets.add(other)
            self._program.line(f"{self._names[other]} = {self._names[first]}")

    def _assign(self, kind: AvroType, target: str, path: str) -> None:
        expression = self._expression(kind, target, path)
        if expression is None:
            self._refuse(kind, target, path)
        self._program.read(kind)
        self._program.line(f"{self._names[target]} = {expression}")

    @staticmethod
    def _refuse(kind: AvroType, target: str, path: str) -> Never:
        raise UnfitSchemaError(f"{target}: {path}: it is {kind}, which cannot be read as {target}")

    def _expression(self, kind: AvroType, target: str, path: str) -> str | None:
        """An expression that makes a tick's part of `x`, the value that was read; None: it cannot be made of this type."""
        if target == "ts":
            return self._time(kind)
        if target in _NUMBERS:
            return self._number(kind, "qty" if target == "qty" else "price", path)
        if target == "seq":
            return "x" if kind.kind in ("int", "long") and not kind.logical else None
        if target == "heartbeat":
            return "x" if kind.kind == "boolean" else None
        return self._text(kind)

    def _time(self, kind: AvroType) -> str | None:
        if kind.kind == "string" or (kind.kind in ("int", "long") and not kind.logical):
            return "x"
        per_second = _TIMES.get(kind.logical)
        if per_second is None:
            return None
        if per_second > self._per_second:
            return f"x // {per_second // self._per_second}"
        return "x" if per_second == self._per_second else f"x * {self._per_second // per_second}"

    def _number(self, kind: AvroType, reason: str, path: str) -> str | None:
        value = self._program.value
        if kind.logical == "decimal":
            if not kind.scale:
                return f"{value(Decimal)}(x)"
            scale, multiply, trim = value(Decimal(1).scaleb(-kind.scale)), value(EXACT.multiply), value(trimmed)
            return f"{multiply}({value(Decimal)}(x), {scale}) if x % 10 else {trim}(x, {kind.scale})"
        if kind.logical:
            return None
        if kind.kind in ("int", "long"):
            return f"{value(Decimal)}(x)"
        if kind.kind in ("float", "double"):
            return f"{value(from_double if kind.kind == 'double' else from_float)}(x)"
        return f"{value(from_text)}(x, {value(path)}, {value(reason)})" if kind.kind == "string" else None

    def _text(self, kind: AvroType) -> str | None:
        if kind.kind == "string":
            return "x"
        if kind.kind == "enum":
            return f"{self._program.value(kind.symbols)}[x]"
        if kind.kind == "fixed" and kind.logical == "uuid":
            return f"str({self._program.value(uuid.UUID)}(bytes=x))"
        return "str(x)" if kind.kind in ("int", "long") and not kind.logical else None


def _inner(path: Any) -> Any:
    return type(path)(path.names[1:])


def _refuser(path: str, kind: str) -> Callable[[], Never]:
    def refuse() -> Never:
        raise RejectedError("type", f"{path}: it is {kind}, which cannot be read")

    return refuse
