"""What the engine owes the raw batches it is fed with: each is iterated once, whatever else is going on."""

from __future__ import annotations

from collections.abc import Iterator

from tables.state import Counters, decode_state
from tables.windows import Engine, EngineConfig
from tests.unit.model import Wire

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
    records = [Wire(n, MORNING + n, b"A|x", b'{"ts":%d,"bid":1.5}' % (MORNING + n)) for n in range(4)]
    first = Engine(EngineConfig())
    first.feed(Once(records[:2]))
    states = {symbol.key: decode_state(first.state_of(symbol) or b"") for symbol in first.take_dirty()}

    second = Engine(EngineConfig())  # its position is older than the states: the first two are replayed
    second.restore(Counters(), 0, {}, states, [])
    second.feed(Once(records))
    assert second.next_offset == 4
    assert second.counters.binned == 4
    second.nothing_until(MORNING + 10**8)
    (bar,) = second.take_finals()
    assert bar.ticks == 4
