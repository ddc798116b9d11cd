"""Avro decoders alone, for `benchmarks formats`: ours, fastavro's, and cavro's if it is there, to the same parts of a tick."""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import Any

import fastavro
import msgspec

from tables.layouts.avro import avro_decoder
from tables.layouts.config import LayoutConfig

Decode = Callable[[bytes], object]
SKIP = 5  # bytes of framing


def avro_decoders(schema: str, values: Sequence[bytes], repeat: int) -> dict[str, float | None]:
    """Microseconds a record of each decoder, the median of some runs; None where it is not installed."""
    decoders = {"generated": _generated(schema), "fastavro": _fastavro(schema), "cavro": _cavro(schema)}
    taken: Mapping[str, list[float]] = {name: [] for name in decoders}
    for _ in range(repeat + 1):
        for name, decode in decoders.items():
            if decode is not None:
                began = time.process_time()
                for value in values:
                    decode(value)
                taken[name].append(time.process_time() - began)
    return {name: round(median(runs[1:]) * 1e6 / len(values), 3) if runs else None for name, runs in taken.items()}


def _generated(schema: str) -> Decode:
    decode = avro_decoder(schema, LayoutConfig(format="avro").parsed())
    return lambda value: decode(value, SKIP)


def _fastavro(schema: str) -> Decode:
    parsed = fastavro.parse_schema(_without_times(schema))

    def decode(value: bytes) -> object:
        stream = io.BytesIO(value)
        stream.seek(SKIP)
        record: Any = fastavro.schemaless_reader(stream, parsed, None)
        return record["ts"], _exact(record["bid"]), record["seq"]

    return decode


def _cavro(schema: str) -> Decode | None:
    try:
        cavro = importlib.import_module("cavro")
    except ImportError:
        return None
    binary_decode = cavro.Schema(msgspec.json.encode(_without_times(schema)).decode()).binary_decode

    def decode(value: bytes) -> object:
        record = binary_decode(value[SKIP:])
        return record.ts, _exact(record.bid), record.seq

    return decode


def _exact(price: Any) -> Decimal:
    return Decimal(repr(price)) if isinstance(price, float) else Decimal(price)


def _without_times(schema: str) -> Any:
    """The schema with plain numbers for times: no library has to make a datetime that is then taken apart."""
    parsed = msgspec.json.decode(schema)
    for field in parsed["fields"]:
        if field["name"] == "ts":
            field["type"] = "long"
    return parsed
