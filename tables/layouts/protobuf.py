"""Decodes Protobuf to the parts of a tick: the message by upb, the C core of Google's library, then only the fields needed.

A field with presence that is not set is missing: an optional one, one of a oneof, one inside a message that is not set. Other
fields of proto3 have no presence: 0 is 0, and empty text is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, DecimalException
from operator import attrgetter
from typing import Any, Never, cast

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tables.layouts.config import ParsedLayout
from tables.layouts.decoded import (
    DEFAULTS,
    NUMBERS,
    DecodedTick,
    TextNumber,
    UnfitSchemaError,
    double_expression,
    from_double,
    from_float,
    part_of,
    required,
    text_lines,
    tick_type,
    trimmed,
)
from tables.layouts.fields import FieldPath
from tables.layouts.times import Times
from tables.ticks import PER_SECOND, RejectedError, shown

ProtobufDecoder = Callable[[bytes], DecodedTick]
IndexedDecoder = Callable[[bytes, int], DecodedTick]
DecoderMaker = Callable[[], IndexedDecoder]
Convert = Callable[[Any], Any]
_INTEGERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
MOST_BYTES = 1_000  # of a value whose message is used again
_WRAPPERS = "google.protobuf."
_MAX_DECIMAL, _MAX_SCALE = 32, 400  # bytes and digits
_NANOS = 10**9


def protobuf_decoder(message: Descriptor, parsed: ParsedLayout) -> ProtobufDecoder:
    """A decoder of one message type. The decoder raises `RejectedError`.

    This raises `UnfitSchemaError` where the message lacks a field that is needed, or has it in a type that cannot be read.
    """
    lines = ["def decode(b):", " try:", "  m = parse(b)", *_body(message, parsed, values := _values(message, parsed))]
    return cast("ProtobufDecoder", _run([*lines, " except Errors as error: broken(b, error)"], values)["decode"])


def decoder_maker(message: Descriptor, parsed: ParsedLayout, other: IndexedDecoder, at: int | None = None) -> DecoderMaker:
    """Makes decoders of values with the message's indexes, a 0 byte, always `at` this place; None: of messages alone.

    `other` is called for other indexes, and for large values. To make a message takes longer than to parse it, so each decoder
    has one that it uses again. A message frees nothing before its end, and belongs to one thread: so does its decoder.
    """
    values = _values(message, parsed) | {"other": other, "behind": slice((at or 0) + 1, None)}
    content, other_indexes = ("b", "") if at is None else ("b[behind]", f"b[{at}] or ")
    body = _body(message, parsed, values)
    lines = ["def maker():", " m = made()", " parse = m.ParseFromString", " def decode(b, p):", "  try:"]
    lines += [f"   if {other_indexes}len(b) > {MOST_BYTES}: return other(b, p)", f"   parse({content})"]
    lines += [*(f" {line}" for line in body), "  except IndexError: return other(b, p)"]  # nothing is behind the prefix
    lines += [f"  except Errors as error: broken({content}, error)", " return decode"]
    return cast("DecoderMaker", _run(lines, values)["maker"])


def _run(lines: list[str], values: dict[str, Any]) -> dict[str, Any]:
    exec(compile("\n".join(lines), "<protobuf>", "exec"), values)  # noqa: S102  # no text of a schema is in it
    return values


def _values(message: Descriptor, parsed: ParsedLayout) -> dict[str, Any]:
    """What the lines of a decoder use by name."""
    kind: Any = GetMessageClass(message)
    return {
        "made": kind,
        "parse": kind.FromString,
        "Errors": (DecodeError, ValueError, DecimalException, RecursionError, KeyError),
        "broken": _broken,
        "no_time": _no_time,
        "time_name": parsed.names.ts,
    }


def _body(message: Descriptor, parsed: ParsedLayout, values: dict[str, Any]) -> list[str]:
    """Lines that make a tick of a message `m`, in a function and its `try`. What they use is added to `values`."""
    needed = required(parsed)
    fields = _Fields(parsed)
    assigned: list[str] = []
    together: list[tuple[str, str]] = []  # fields that are read by one call: their variables and their names
    always: set[str] = set()  # what every message has
    after: list[str] = []
    for attribute, path in parsed.paths.items():
        steps = _steps(message, attribute, path, parsed.config.price, needed=attribute in needed)
        if not steps:
            continue
        convert = fields.conversion(steps[-1], attribute, path)
        assigned.append(attribute)
        missing = [f"{attribute} = {DEFAULTS[attribute]}"]
        if any(step.has_presence for step in steps):
            missing += _lines(attribute, steps, convert, values)
            if steps[-1].message_type is not None or steps[-1].default_value:
                after += missing
                continue
        together.append((attribute, ".".join(step.name for step in steps)))
        converted = _converted(convert, attribute, values)
        if len(missing) > 1 or _empty_is_missing(steps[-1]):  # what is not 0, nor empty, is set
            after += [f"if not {attribute}:", *(f" {line}" for line in missing)]
            after += ["else:", *(f" {line}" for line in converted)] if converted else []
        else:
            always.add(attribute)
            after += converted
    reading = []
    if together:
        values["read"] = attrgetter(*(name for _, name in together))
        reading = [f"{', '.join(attribute for attribute, _ in together)} = read(m)"]
    values["Tick"] = tick_type(tuple(assigned))
    if "ts" not in always:
        after.append("if ts is None: no_time(time_name)")
    return [f"  {line}" for line in [*reading, *after, f"return Tick({', '.join(assigned)})"]]


def _empty_is_missing(field: FieldDescriptor) -> bool:
    return not field.has_presence and field.cpp_type == FieldDescriptor.CPPTYPE_STRING


def _converted(convert: Convert | None, name: str, values: dict[str, Any]) -> list[str]:
    """Lines that convert the value in the variable with this name."""

    def named(value: Any) -> str:
        values[f"c{len(values)}"] = value
        return f"c{len(values) - 1}"

    if convert is None:
        return []
    if convert is from_double:
        return [f"{name} = {double_expression(named)(name)}"]
    usual = f"{named(convert)}({name})"
    return text_lines(name, usual, named) if isinstance(convert, TextNumber) else [f"{name} = {usual}"]


def _steps(message: Descriptor, attribute: str, path: FieldPath, price: str, *, needed: bool) -> list[FieldDescriptor]:
    """The fields from the outermost message to the one that holds an attribute; none where it has not to be there."""
    steps: list[FieldDescriptor] = []
    inside: Descriptor | None = message
    for name in path.names:
        part = part_of(attribute, price)
        if inside is None:
            raise UnfitSchemaError(f"{part}={path}: {steps[-1].name} holds no fields")
        field = inside.fields_by_name.get(name)
        if field is None:
            if not needed:
                return []
            listed = ", ".join(sorted(inside.fields_by_name)[:20])
            raise UnfitSchemaError(f"{part}={path}: message {inside.full_name} has no field {name}; it has {listed}")
        if field.is_repeated:
            raise UnfitSchemaError(f"{part}={path}: {name} is repeated, which cannot be read as {part}")
        steps.append(field)
        inside = field.message_type
    return steps


def _lines(attribute: str, steps: list[FieldDescriptor], convert: Convert | None, values: dict[str, Any]) -> list[str]:
    """Lines that read one attribute. They stop at the first field that has presence and is not set."""
    lines, here, pad = [], "m", ""
    for step in steps:
        get, name = f"g{len(values)}", f"n{len(values)}"
        values |= {get: attrgetter(step.name), name: step.name}
        if step.has_presence:
            lines.append(f"{pad}if {here}.HasField({name}):")
            pad += " "
        lines.append(f"{pad}x = {get}({here})")
        here = "x"
    if _empty_is_missing(steps[-1]):
        lines.append(f"{pad}if x:")
        pad += " "
    return [*lines, *(pad + line for line in [*_converted(convert, "x", values), f"{attribute} = x"])]


class _Fields:
    """What makes an attribute of a field's value."""

    def __init__(self, parsed: ParsedLayout) -> None:
        config = parsed.config
        self._price = config.price
        self._per_second = PER_SECOND[config.time_unit]
        self._times = Times(parsed.names.ts, config.number_unit or config.time_unit, config.time_unit, parsed.zone)

    def conversion(self, field: FieldDescriptor, attribute: str, path: FieldPath) -> Convert | None:
        """The conversion of a field's value; None: it is used as it is. Raises `UnfitSchemaError`."""
        found: Convert | bool
        if attribute == "ts":
            found = self._time(field)
        elif attribute in NUMBERS:
            found = _number(field, "qty" if attribute == "qty" else "price", str(path))
        elif attribute == "seq":
            found = field.cpp_type in _INTEGERS
        elif attribute == "heartbeat":
            found = field.cpp_type == FieldDescriptor.CPPTYPE_BOOL
        else:
            found = _name(field, str(path))
        if found is False:
            part = part_of(attribute, self._price)
            raise UnfitSchemaError(f"{part}={path}: it is {_kind(field)}, which cannot be read as {part}")
        return None if found is True else found

    def _time(self, field: FieldDescriptor) -> Convert | bool:
        if field.cpp_type in _INTEGERS:
            return self._times.same_unit or self._times.of_number
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type == FieldDescriptor.TYPE_STRING:
            return self._times.of_text
        number = _number(field, "ts", "ts")
        if callable(number):
            of_number, convert = self._times.of_number, number
            return lambda value: of_number(convert(value))
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
            per_second = self._per_second
            return lambda time: time.seconds * per_second + time.nanos * per_second // _NANOS
        return False


def _number(field: FieldDescriptor, reason: str, path: str) -> Convert | bool:
    if field.message_type is not None:
        return _number_in_message(field.message_type, reason, path)
    if field.cpp_type in _INTEGERS:
        return Decimal
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return from_double
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return from_float
    if field.type == FieldDescriptor.TYPE_STRING:
        return TextNumber(path, reason)
    return False


def _number_in_message(message: Descriptor, reason: str, path: str) -> Convert | bool:
    """Numbers that are messages: the wrappers of Google's library, and the two decimals that are in use."""
    if message.full_name == "confluent.type.Decimal":
        return lambda value: _scaled(value, path, reason)
    wrapped = message.full_name.startswith(_WRAPPERS) and message.full_name.endswith("Value")
    inner = message.fields_by_name.get("value")
    if inner is None or inner.message_type is not None or not (wrapped or message.full_name == "google.type.Decimal"):
        return False
    convert = _number(inner, reason, path)
    return (lambda value: convert(value.value)) if callable(convert) else False


def _scaled(value: Any, path: str, reason: str) -> Decimal:
    digits, scale = value.value, value.scale
    if not 0 < len(digits) <= _MAX_DECIMAL or not 0 <= scale <= _MAX_SCALE:
        raise RejectedError(reason, f"{path}: {len(digits)} bytes with a scale of {scale} are no decimal")
    return trimmed(int.from_bytes(digits, "big", signed=True), scale)


def _name(field: FieldDescriptor, path: str) -> Convert | bool:
    kind = field.enum_type
    if kind is not None:
        names = {value.number: value.name for value in kind.values}

        def name_of(number: int) -> str:
            if number not in names:
                raise RejectedError("type", f"{path}: {number} is no value of {kind.full_name}")
            return names[number]

        return name_of
    return field.cpp_type in _INTEGERS or field.type == FieldDescriptor.TYPE_STRING


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return str(field.message_type.full_name)
    kind = cast("descriptor_pb2.FieldDescriptorProto.Type.ValueType", field.type)
    return descriptor_pb2.FieldDescriptorProto.Type.Name(kind).removeprefix("TYPE_").lower()


def _broken(value: bytes, error: Exception) -> Never:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise RejectedError("protobuf", f"value: it is no such message ({reason}), in {shown(value)}") from None


def _no_time(name: str) -> Never:
    raise RejectedError("missing", f"{name}: the field is missing")
