"""What a worker has by default, for benchmarks of parts of it: the native core and its batches, where they are built."""

from __future__ import annotations

from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder

from app.kafka.batches import ENCODERS, BuiltBatch
from app.kafka.producers import BATCH_BYTES
from app.kafka.raw_batches import RawBatch
from benchmarks.synthetic_ticks import Market, generate
from tables.config import EngineConfig
from tables.engine import Engine
from tables.native import NATIVE, batch_builder, checksum
from tests.support.raw_batches import read_by_aiokafka, stored

WANTED = "auto"  # the setting `native`
BATCH = 800  # ticks: about 64 kB
ARRIVED = 1_700_000_000_000
_check, _builder = checksum(WANTED), batch_builder(WANTED)


def new_engine(config: EngineConfig) -> Engine:
    """An engine with the core of a worker."""
    return Engine(config, native=WANTED)


def core_name() -> str:
    """Which core that is, for the output."""
    return "core in Python" if NATIVE is None else "native core"


def market_batches(symbols: int, ticks: int) -> list[bytes]:
    """Partition 0 of a synthetic market, in batches as the broker stores them."""
    market = generate(Market("", symbols, ticks))
    contents: list[Any] = [(key, value, []) for partition, key, value in market if partition == 0]
    return [stored(contents[at : at + BATCH], at, ARRIVED + at) for at in range(0, len(contents), BATCH)]


def opened(data: bytes) -> Any:
    """A batch as the worker's fetcher gives it, with its checksum checked."""
    batch: Any = read_by_aiokafka(data)
    if _check is not None:
        return RawBatch(batch, memoryview(data), _check, "")
    batch.validate_crc()
    return batch


def feed(engine: Engine, batch: Any) -> None:
    """Process an opened batch."""
    if _check is not None:
        engine.feed_batch(batch, 0)
    else:
        engine.feed_same_arrival(batch, batch.max_timestamp)


def new_batch(codec: int, kind: type[BuiltBatch] = BuiltBatch) -> Any:
    """An empty batch as a worker's producer makes it; `codec` is Kafka's number. `kind`: of a batch of the native core."""
    if _builder is None:
        return BatchBuilder(BATCH_BYTES, codec)
    return kind(_builder(BATCH_BYTES, codec, ENCODERS.get(codec), False))
