"""What the engine owes the raw batches it is fed with: each is iterated once, whatever else is going on."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tables.config import EngineConfig
from tables.engine import Engine
from tables.state import Counters
from tests.unit.model import Wire, take_finals

MORNING = 1_399_248_000_000


class Once:
    """As aiokafka's raw batches: a second loop over it is an error."""

    def __init__(self, records: list[Wire]) -> None:
        self._records = records
        self._begun = False

    def __iter__(self) -> Iterator[Wire]:
        assert not self._begun, "iterated twice"
        self._begun = True
        return iter(self._records)


def test_a_batch_is_read_once_also_while_a_restart_is_replayed() -> None:
    early = Engine(EngineConfig())
    early.feed([Wire(0, MORNING, b"B|z", b'{"ts":%d,"bid":1.5}' % MORNING)])
    early.advance_arrival(MORNING + 10**8)
    (published,) = take_finals(early)
    tail = [msgspec.structs.replace(published, closed_at_offset=2)]

    engine = Engine(EngineConfig())
    engine.restore(Counters(), 0, {}, {}, tail)
    before = engine.replaying
    engine.feed(Once([Wire(n, MORNING + n, b"A|x", b'{"ts":%d,"bid":1.5}' % (MORNING + n)) for n in range(4)]))
    assert (before, engine.replaying) == (True, False)
    assert engine.next_offset == 4
    engine.advance_arrival(MORNING + 10**8)
    (bar,) = take_finals(engine)
    assert bar.ticks == engine.counters.binned == 4
