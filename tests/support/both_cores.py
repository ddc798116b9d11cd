"""One log through both cores: what comes out must be the same bytes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka.producer.message_accumulator import BatchBuilder

from app.kafka.batches import ENCODERS, BuiltBatch, pack
from app.kafka.raw_batches import RawBatch
from tables._native import BatchBuilder as NativeBuilder
from tables._native import crc32c
from tables.checkpoint_plan import CheckpointPlan
from tables.config import EngineConfig
from tables.emission import Closed, take_records, take_runs
from tables.engine import Engine
from tables.further import is_further
from tables.records import SideRecord
from tables.snapshots import Beyond
from tables.state import SymbolState, decode_further, decode_state
from tests.support.raw_batches import read_by_aiokafka

BATCH_BYTES = 2_000
HEADERS = [("app", b"barwheel"), ("epoch", b"7")]
Outcome = tuple[Any, ...]


def outcome(engine: Engine, plan: CheckpointPlan | None = None) -> Outcome:
    """All that an engine gives, as bytes and numbers: bars, longer and revised bars, side records, states and counters.

    With a `plan` the states are those that its next checkpoint writes; else one by one, of what changed.
    """
    closed, beyond = engine.take_closed(), engine.take_after_close()
    as_sent = _batches if engine.next_offset % 2 else _records
    bars, others = as_sent(engine, closed), as_sent(engine, beyond)
    side = [_side(one) for one in engine.take_side()]
    states = _changed(engine) if plan is None else _checkpoint(plan)
    progress = engine.progress
    numbers = (progress.next_offset, progress.arrival, progress.timer, progress.arrival_violations, progress.clock_steps)
    counters = msgspec.structs.astuple(copy.copy(progress.counters))
    rest = (engine.open_windows, sorted(engine.stream_times().items()), engine.cut, sorted(engine.windows.new_keys))
    return bars, others, side, states, numbers, counters, rest


def _records(_: Engine, steps: list[Closed]) -> list[Any]:
    return list(take_records(steps, HEADERS, "state"))


def _batches(engine: Engine, steps: list[Closed]) -> list[Any]:
    limit, codec = BATCH_BYTES, 2

    def new_batch() -> Any:
        if engine.core.name == "python":
            return BatchBuilder(limit, codec)
        return BuiltBatch(NativeBuilder(limit, codec, ENCODERS[codec], False))

    return [bytes(batch._build()) for batch in pack(new_batch, take_runs(steps, HEADERS, "state"))]


def _changed(engine: Engine) -> list[Any]:
    symbols, scopes = engine.snapshots.take_changed()
    states = [engine.snapshots.records_of(symbol.key, symbol) for symbol in symbols]
    clocks = [engine.snapshots.records_of(scope.record_key, scope) for scope in scopes]
    return [states, clocks, [(item.record_key, engine.snapshots.value_of(item)) for item in engine.snapshots.take_further()]]


def _checkpoint(plan: CheckpointPlan) -> list[Any]:
    written = list(plan.round())
    plan.end += len(written)
    return [written, plan.live_from]


def _side(side: SideRecord) -> tuple[Any, ...]:
    record = side.record
    content = record.offset, record.timestamp, record.key, record.value, list(record.headers)
    return side.offset, side.kind, side.reason, side.detail, content


def everything(engine: Engine) -> dict[bytes, bytes | None]:
    """The records of all that an engine holds, as a changelog would have them."""
    return {key: value for own, item in engine.snapshots.everything() for key, value in engine.snapshots.records_of(own, item)}


def restored(config: EngineConfig, former: Engine, native: str) -> Engine:
    """Another engine, of this core, that goes on from the state of one."""
    states: dict[bytes, SymbolState] = {}
    beyond = Beyond()
    for key, value in everything(former).items():
        if value is not None and is_further(key):
            beyond.states[key] = decode_further(value)
        elif value is not None:
            states[key] = decode_state(value)
    engine = Engine(config, former.next_offset, native=native)
    engine.restore(copy.copy(former.counters), former.arrival, {}, states, [], former.cut, beyond=beyond)
    return engine


def feed_python(engine: Engine, batch: bytes, first_offset: int, arrived: int) -> str:
    """Feed a batch as it is read without the native core. Returns the error, if there was one."""
    try:
        records = (record for record in read_by_aiokafka(batch) if record.offset >= first_offset)
        engine.feed_same_arrival(records, arrived)
    except Exception as error:  # noqa: BLE001  # whatever it is, both must raise it
        return f"{type(error).__name__}: {error}"
    return ""


def feed_native(engine: Engine, batch: bytes, first_offset: int) -> str:
    """Feed a batch as bytes. Returns the error, if there was one."""
    try:
        engine.feed_batch(RawBatch(read_by_aiokafka(batch), memoryview(batch), crc32c, "test"), first_offset)
    except Exception as error:  # noqa: BLE001  # whatever it is, both must raise it
        return f"{type(error).__name__}: {error}"
    return ""


def compare(config: EngineConfig, log: Sequence[tuple[bytes, int, int, int]], switch_after: Sequence[int] = ()) -> Outcome:
    """Feed batches `(bytes, base offset, arrived, first offset)` to both cores, and compare what they give after each of them.

    After the batches `switch_after`, each core goes on from the state that the other would have stored. Returns the last
    outcome.
    """
    plain, native = Engine(config, log[0][3], native="off"), Engine(config, log[0][3], native="on")
    plans = [CheckpointPlan(engine.snapshots, 0, 0) for engine in (plain, native)]
    last: Outcome = ()
    assert (plain.core.name, native.core.name) == ("python", "native")
    for number, (batch, _, arrived, first_offset) in enumerate(log):
        said = feed_python(plain, batch, first_offset, arrived), feed_native(native, batch, first_offset)
        assert said[0] == said[1], (number, said)
        if said[0]:
            return last  # a partition whose batch was refused is read again from its checkpoint
        last, other = outcome(plain, plans[0]), outcome(native, plans[1])
        assert last == other, (number, [parts for parts in zip(last, other, strict=True) if parts[0] != parts[1]])
        if number in switch_after:
            plain, native = restored(config, native, "off"), restored(config, plain, "on")
            plans = [CheckpointPlan(engine.snapshots, 0, 0) for engine in (plain, native)]
            outcome(plain), outcome(native)  # what a restore marks as changed
    for engine in (plain, native):
        engine.advance_arrival(log[-1][2] + 10**7)
    last, other = outcome(plain, plans[0]), outcome(native, plans[1])
    assert last == other
    return last
