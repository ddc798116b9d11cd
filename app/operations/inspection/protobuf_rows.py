"""Reads Protobuf messages with all their fields, for people to look at: exact numbers, times as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from app.operations.inspection.values import MAX_DEPTH
from tables.layouts.decoded import from_double, from_float, trimmed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DIGITS = 400


class ProtobufRows:
    """Reads messages of one type."""

    format = "protobuf"

    def __init__(self, message: Descriptor) -> None:
        self._parse: Callable[[bytes], Message] = GetMessageClass(message).FromString
        self.name = f"Protobuf message {message.full_name}"
        self.message = str(message.full_name)

    def read(self, value: bytes, at: int = 0) -> dict[str, Any]:
        """The fields of a message that begins here. Raises `ValueError` where it is no such message."""
        try:
            return _fields(self._parse(value[at:]), 1)
        except (DecodeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"it is no such message ({error})") from None


def _fields(message: Any, depth: int) -> dict[str, Any]:
    """The fields that a layout would find: one that is not set, and can tell, is missing, and so is empty text."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            found[field.name] = list(value)
        elif not field.has_presence or message.HasField(field.name):
            known = _value(field, value, depth)
            if known != "":
                found[field.name] = known
    return found


def _value(field: FieldDescriptor, value: Any, depth: int) -> Any:
    if field.message_type is not None:
        known = _MESSAGES.get(field.message_type.full_name)
        if known is not None:
            return known(value)
        if field.message_type.full_name.startswith("google.protobuf.") and "value" in field.message_type.fields_by_name:
            return _value(field.message_type.fields_by_name["value"], value.value, depth)
        return _fields(value, depth + 1) if depth < MAX_DEPTH else []
    if field.enum_type is not None:
        name = field.enum_type.values_by_number.get(value)
        return value if name is None else name.name
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return from_double(value)
    return from_float(value) if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else value


def _time(value: Any) -> Any:
    try:
        time = (_EPOCH + timedelta(seconds=value.seconds)).replace(tzinfo=None)
    except OverflowError:
        return value.seconds
    return f"{time.isoformat()}.{value.nanos:09}Z"


def _google_decimal(value: Any) -> Any:
    try:
        return Decimal(value.value)
    except DecimalException:
        return value.value


def _confluent_decimal(value: Any) -> Any:
    if not 0 <= value.scale <= _MOST_DIGITS:
        return value.value
    return trimmed(int.from_bytes(value.value, "big", signed=True), value.scale)


_MESSAGES: Mapping[str, Callable[[Any], Any]] = {
    "google.protobuf.Timestamp": _time,
    "google.type.Decimal": _google_decimal,
    "confluent.type.Decimal": _confluent_decimal,
}
