"""What a format of bars is: two functions, and the name under which bars say that they are in it.

Values have the framing of Schema Registry: a magic byte 0, the id of the schema as four bytes, big-endian; Protobuf then has
the message's index, 0. Readers of other programs find the schema by that id.

Our own readers do not ask a registry. A bar's header `bar` names the schema, which is in `schemas/`, and the scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tables.bars import Bar

PREFIX = 5  # bytes: the magic byte and the id
AVRO, PROTOBUF = "avro", "protobuf"
VERSION = 1  # of the schemas that bars are written with


@dataclass(frozen=True, slots=True)
class BarFormat:
    """How a bar becomes what follows the framing, and back."""

    index: bytes  # of the message, after the id
    # a bar, the scale, how many ticks a correction added, and the frame of a bar that is longer than the base window
    encode: Callable[[Bar, int, int | None, str | None], bytes]
    decode: Callable[[bytes, int], Bar]  # what follows the framing, and the scale; raises `msgspec.DecodeError`


def with_corrected(bar: Bar, corrected: int | None) -> Bar:
    """This bar, with how many ticks a correction added; None: it is no correction."""
    if corrected is not None:
        bar.corrected = corrected
    return bar


def framing(schema_id: int, index: bytes) -> bytes:
    """What is in front of every value with this schema."""
    return b"\0" + schema_id.to_bytes(PREFIX - 1) + index
