"""What the topics of a simulation must hold: the bars, side records and states of an engine that never stopped."""

from __future__ import annotations

from agents.engines import engine_config
from app.settings.types import Delivery, IdleClose
from tables.after_close import AfterClose
from tables.bar_formats.records import bar_of
from tables.bars import Bar, bar_key
from tables.engine import Engine
from tables.further import Settled
from tables.state import CUT_AT_NEXT, NO_CUT
from tests.simulation.partition import Simulation
from tests.simulation.topics import (
    SILENCE,
    Row,
)
from tests.unit.model import take_beyond, take_finals


def judge(simulation: Simulation) -> None:
    """Compare what is in the topics with an engine that read the log in one go."""
    config = simulation.settings
    engine = Engine(engine_config(config), simulation.first)
    engine.windows.cut = CUT_AT_NEXT if simulation.first else NO_CUT
    engine.feed(simulation.log[simulation.first :])
    engine.advance_arrival(simulation.broker_time - 1)
    expected = take_finals(engine)
    rows = [row for row in simulation.topics.committed(config.finals_topic) if row.value]
    if simulation.former is not None and simulation.settings.delivery is Delivery.idempotent:
        first: dict[bytes | None, Row] = {}
        for row in rows:  # a former owner may repeat a bar, or be faster than its successor with it, but not change it
            before = first.setdefault(row.key, row)
            assert bar_of(before.value or b"", before.headers) == bar_of(row.value or b"", row.headers)
        places = {bar_key(bar.broker, bar.symbol, bar.bucket_start): place for place, bar in enumerate(expected)}
        rows = sorted(first.values(), key=lambda row: places.get(row.key or b"", -1))
    published: list[Bar] = [bar_of(row.value or b"", row.headers) for row in rows]
    assert published == expected
    if not engine.clock_steps:
        assert all(bar.closed_at >= bar.bucket_end for bar in published)
    judge_beyond(simulation, engine)
    side = engine.take_side()
    for topic, kind in ((config.late_topic, "late"), (config.rejected_topic, "rejected")):
        sent = {row.key for row in simulation.topics.committed(topic)}
        assert sent == {f"{config.ticks_topic}|0|{s.offset}".encode() for s in side if s.kind == kind}
    assert simulation.partition.engine.open_windows == engine.open_windows
    if config.idle_close is not IdleClose.off and config.window_size + config.grace < SILENCE // 10:
        assert not engine.open_windows, "silence does not close them"
    assert simulation.partition.engine.counters == engine.counters
    assert engine.counters.balanced()
    assert engine.counters.read == len(simulation.log) - simulation.first


def judge_beyond(simulation: Simulation, engine: Engine) -> None:
    """Compare the longer and the revised bars. Each is in its topic once, in order: they are part of transactions."""
    config = simulation.settings
    wanted: dict[str, list[Bar]] = {topic: [] for topic in config.beyond_topics}
    for topic_of, bars in zip((config.finals_topic_of, config.corrections_topic_of), take_beyond(engine), strict=True):
        for frame, bar in bars:
            wanted[topic_of(frame)].append(bar)
    for topic, bars_of_topic in wanted.items():
        assert [bar_of(row.value or b"", row.headers) for row in simulation.topics.committed(topic)] == bars_of_topic
    if engine.windows.after is not None:
        held, expected = simulation.partition.engine.windows.after, engine.windows.after
        assert held is not None
        assert stored_of(held) == stored_of(expected)


def stored_of(after: AfterClose) -> set[bytes]:
    """The keys of the records that must be in the changelog, apart from windows that only a checkpoint gives some."""
    return {key for key, item in after.further.items.items() if not isinstance(item, Settled) and after.record_of(item)}
