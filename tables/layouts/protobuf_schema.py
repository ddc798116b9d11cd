"""Protobuf schemas: file descriptors, from a registry or a descriptor set, made message types by name or by indexes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from tables.layouts.decoded import UnfitSchemaError
from tables.ticks import shown

Field = descriptor_pb2.FieldDescriptorProto
_KNOWN = (any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2, descriptor_pb2)


def _made(
    name: str, package: str, message: str, **fields: tuple[Field.Type.ValueType, int]
) -> descriptor_pb2.FileDescriptorProto:
    """A file with one message; `fields`: type and number."""
    made = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    if message:
        kind = made.message_type.add(name=message)
        for field, (form, number) in fields.items():
            kind.field.add(name=field, number=number, type=form, label=Field.LABEL_OPTIONAL)
    return made


# Registries know these without a reference to them.
_BUILT_IN = [
    *(descriptor_pb2.FileDescriptorProto.FromString(known.DESCRIPTOR.serialized_pb) for known in _KNOWN),
    _made("google/type/decimal.proto", "google.type", "Decimal", value=(Field.TYPE_STRING, 1)),
    _made(
        "confluent/type/decimal.proto",
        "confluent.type",
        "Decimal",
        value=(Field.TYPE_BYTES, 1),
        precision=(Field.TYPE_UINT32, 2),
        scale=(Field.TYPE_INT32, 3),
    ),
    _made("confluent/meta.proto", "confluent", ""),  # it holds options alone, which no message needs
]


class ProtobufFile:
    """The message types of one file and those that it imports."""

    def __init__(self, files: Sequence[descriptor_pb2.FileDescriptorProto]) -> None:
        """`files`: the last one is the file itself. Raises `UnfitSchemaError`."""
        self._pool = DescriptorPool()
        self._file = files[-1]
        waiting = {file.name: file for file in [*_BUILT_IN, *files]}
        try:
            for name in list(waiting):
                self._add(name, waiting)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnfitSchemaError(f"it is not a usable file descriptor: {' '.join(str(error).split())}") from None

    @classmethod
    def registered(cls, text: str, references: Iterable[tuple[str, str]] = ()) -> ProtobufFile:
        """The file that a registry gives, serialized and in base64, with the files that it imports, by name.

        Raises `UnfitSchemaError`.
        """
        files = [_parsed(content, name) for name, content in references]
        return cls([*files, _parsed(text, "barwheel/ticks.proto")])

    def _add(self, name: str, waiting: dict[str, Any]) -> None:
        file = waiting.pop(name, None)
        if file is not None:
            for needed in file.dependency:
                self._add(needed, waiting)
            self._pool.AddSerializedFile(file.SerializeToString())

    @property
    def messages(self) -> int:
        """How many messages the file has, without those inside others."""
        return len(self._file.message_type)

    def by_indexes(self, indexes: Sequence[int]) -> Descriptor:
        """The message type at these indexes: of the file's messages, of that one's nested messages, ...

        Raises `UnfitSchemaError`.
        """
        level: Any = self._file.message_type
        names = [self._file.package] if self._file.package else []
        for index in indexes:
            if not 0 <= index < len(level):
                raise UnfitSchemaError(f"it has no message at the indexes {list(indexes)}")
            names.append(level[index].name)
            level = level[index].nested_type
        return self.by_name(".".join(names))

    def by_name(self, name: str) -> Descriptor:
        """The message type with this full name. Raises `UnfitSchemaError`."""
        try:
            return self._pool.FindMessageTypeByName(name)
        except KeyError:
            names = [f"{self._file.package}.{kind.name}".lstrip(".") for kind in self._file.message_type]
            raise UnfitSchemaError(f"it has no message {shown(name)}; it has {', '.join(names[:20])}") from None


def descriptor_set(content: bytes) -> ProtobufFile:
    """The files of a set, as `protoc --include_imports --descriptor_set_out` writes it. Raises `UnfitSchemaError`."""
    try:
        files = list(descriptor_pb2.FileDescriptorSet.FromString(content).file)
    except DecodeError:
        files = []
    if not files:
        raise UnfitSchemaError("it is no descriptor set: make one with protoc --include_imports --descriptor_set_out=FILE")
    return ProtobufFile(files)


def _parsed(text: str, name: str) -> descriptor_pb2.FileDescriptorProto:
    try:
        file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (DecodeError, binascii.Error, ValueError):
        raise UnfitSchemaError(
            "the registry does not give it as a serialized file descriptor (format=serialized): "
            "set ticks_schema to a descriptor set"
        ) from None
    file.name = name
    return file
