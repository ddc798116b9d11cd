"""An engine and the topic before it; times are ms after a fixed midnight; arrival is event time unless said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tables.config import EngineConfig
from tables.engine import Engine
from tests.unit.model import Wire, take_finals

if TYPE_CHECKING:
    from tables.bars import Bar

DAY = 1_399_248_000_000  # 2014-05-05T00:00:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE


@dataclass
class Market:
    """An engine and the topic before it."""

    config: EngineConfig = field(default_factory=EngineConfig)
    offset: int = 0

    def __post_init__(self) -> None:
        self.engine = Engine(self.config, self.offset)

    def raw(self, value: str | bytes | None, *, arrival: int, key: bytes | None = b"A|x") -> None:
        """One record as it stands on the wire."""
        data = value.encode() if isinstance(value, str) else value
        self.engine.feed([Wire(self.offset, DAY + arrival, key, data)])
        self.offset += 1

    def tick(self, ts: int, bid: str = "1.5", *, at: int | None = None, name: str = "A|x", more: str = "") -> None:
        """One tick of an event time, arriving at that moment unless `at` is given."""
        self.raw(f'{{"ts": {DAY + ts}, "bid": {bid}{more}}}', arrival=ts if at is None else at, key=name.encode())

    def heartbeat(self, ts: int, *, at: int | None = None, name: str = "A|x") -> None:
        """A heartbeat of an event time."""
        self.raw(f'{{"ts": {DAY + ts}, "heartbeat": true}}', arrival=ts if at is None else at, key=name.encode())

    def marker(self, at: int) -> None:
        """A marker, as a worker writes it."""
        self.engine.feed([Wire(self.offset, DAY + at, b"", None, [("barwheel-marker", b"app")])])
        self.offset += 1

    def silence(self, until: int) -> None:
        """Nothing more arrives up to this time."""
        self.engine.advance_arrival(DAY + until)

    def bars(self) -> list[Bar]:
        """The bars since the last call."""
        return take_finals(self.engine)

    def bar(self) -> Bar:
        """The only bar since the last call."""
        (bar,) = self.bars()
        return bar

    def after_silence(self) -> Bar:
        """The only bar, once everything that was open has closed by idling."""
        self.silence(HOUR * 1_000)
        return self.bar()

    def side(self) -> list[tuple[int, str, str]]:
        """Offset, kind and reason of what was late or rejected since the last call."""
        return [(record.offset, record.kind, record.reason) for record in self.engine.take_side()]


def ohlc(bar: Bar) -> tuple[str, str, str, str]:
    """The four prices, digit for digit."""
    return str(bar.open), str(bar.high), str(bar.low), str(bar.close)
