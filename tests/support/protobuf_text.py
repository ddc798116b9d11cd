"""Protobuf schemas as registries keep them: a text, compiled by protoc, or a serialized descriptor; and how two differ."""

from __future__ import annotations

import base64
import binascii
import functools
import tempfile
from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

File = descriptor_pb2.FileDescriptorProto
IMPORTS = {  # which every Schema Registry knows
    "confluent/type/decimal.proto": """
        syntax = "proto3";
        package confluent.type;
        message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
    """,
    "confluent/meta.proto": """
        syntax = "proto3";
        package confluent;
        import "google/protobuf/descriptor.proto";
        message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
        extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
    """,
}


def file_of(schema: str) -> File:
    """The file that a schema describes. Raises `ValueError`."""
    if schema.lstrip().startswith("syntax"):
        return compiled(schema)[-1]
    try:
        return File.FromString(base64.b64decode(schema, validate=True))
    except (DecodeError, binascii.Error) as error:
        raise ValueError(str(error)) from None


@functools.cache
def compiled(text: str) -> list[File]:
    """The file of a text, after those that it imports. Raises `ValueError`."""
    with tempfile.TemporaryDirectory() as name:
        directory, out = Path(name), Path(name) / "out"
        for path, content in {**IMPORTS, "schema.proto": text}.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(content)
        known = Path(grpc_tools.__file__).parent / "_proto"
        arguments = [f"-I{directory}", f"-I{known}", "--include_imports", f"--descriptor_set_out={out}", "schema.proto"]
        if protoc.main(["protoc", *arguments]) != 0:
            raise ValueError("protoc refuses it")
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def message_class(text: str, name: str) -> Any:
    """The class of a message in a text."""
    pool = DescriptorPool()
    for file in compiled(text):
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(name))


def changed(reader: File, writer: File) -> list[str]:
    """Why a reader with one file would misread the messages of another: fields by their numbers, messages by their names."""
    if reader.package != writer.package:
        return [f"PACKAGE_CHANGED: {writer.package} to {reader.package}"]
    return list(_changed(reader.message_type, writer.message_type, ""))


def _changed(reader: Any, writer: Any, path: str) -> Iterator[str]:
    messages = {message.name: message for message in reader}
    for old in writer:
        new = messages.get(old.name)
        if new is None:
            yield f"MESSAGE_REMOVED: {path}{old.name}"
            continue
        fields = {field.number: field for field in new.field}
        for field in old.field:
            now = fields.get(field.number)
            if now is not None and (now.type, now.type_name, now.label) != (field.type, field.type_name, field.label):
                yield f"FIELD_KIND_CHANGED: {path}{old.name}.{field.name}"
            elif now is not None and now.name != field.name:
                yield f"FIELD_NAME_CHANGED: {path}{old.name}.{field.name}"
        names = {field.name: field.number for field in new.field}
        for field in old.field:
            if field.number not in fields and field.name in names:
                yield f"FIELD_NUMBER_CHANGED: {path}{old.name}.{field.name}"
        yield from _changed(new.nested_type, old.nested_type, f"{path}{old.name}.")


def values_of(message: Any) -> dict[str, Any]:
    """The fields of a message with bars' types: decimals and times as Python's, None for those without a value."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.has_presence and not message.HasField(field.name):
            value = None
        elif field.message_type is not None and field.message_type.name == "Decimal":
            value = Decimal(int.from_bytes(value.value, signed=True)).scaleb(-value.scale)
        elif field.message_type is not None:
            value = value.ToDatetime(tzinfo=UTC)
        found[field.name] = value
    return found
