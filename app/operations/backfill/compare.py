"""Compares bars that are computed once more with those that were published, partition by partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.operations.backfill.published import Published
from app.operations.backfill.ticks import Stretch
from tables.emission import Closed
from tables.engine import Engine
from tables.recomputed import Difference, Kind, closed_within, difference, windows_of


@dataclass
class Outcome:
    """What became of the windows of a stretch. `revised`: how many revisions were published."""

    same: int = 0
    open: int = 0  # not closed yet, as far as the checkpoint says, or of scopes that the worker has not seen
    cut: int = 0  # ticks of them may be gone from the input
    due: int = 0  # the worker is about to revise them
    late: int = 0  # ticks that came later than the stretch waits for
    rejected: int = 0
    read: int = 0
    revised: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def by_kind(self) -> Counter[str]:
        """How many differences there are of each kind."""
        return Counter(str(one.kind) for one in self.differences)


@dataclass
class Compared:
    """One partition: its differences."""

    number: int
    known: Published
    found: list[Difference]


class Comparison:
    """One partition: takes what an engine closes, and drops what is as it was published."""

    def __init__(self, number: int, known: Published, stretch: Stretch, outcome: Outcome) -> None:
        self._number = number
        self._known = known
        self._stretch = stretch
        self._outcome = outcome
        self._left, known.bars = known.bars, {}
        self._found: list[Difference] = []

    def take(self, engine: Engine) -> list[Closed]:
        """Compare the windows that have closed since the last call; returns them."""
        known, outcome = self._known, self._outcome
        steps = closed_within(engine, self._stretch.since, self._stretch.until)
        for window in windows_of(steps):
            place = window.place
            before = self._left.pop(place, None)
            watermark = known.watermark(window.symbol.key)
            if window.partial:
                outcome.cut += 1
            elif watermark is None or window.step.end > watermark:
                outcome.open += 1
            elif place in known.due:
                outcome.due += 1
            elif (differs := difference(before, window)) is not None:
                self._found.append(differs)
            else:
                outcome.same += 1
        return steps

    def finish(self, engine: Engine, keys: Iterable[bytes] | None = None) -> Compared:
        """All differences, when nothing else closes. `keys`: the symbols of files; bars of others are not missed there."""
        outcome, wanted = self._outcome, None if keys is None else set(keys)
        for place, bar in self._left.items():
            if not bar.ticks or (wanted is not None and place[1] not in wanted):
                continue
            if bar.bucket_start - engine.config.max_future <= engine.cut:
                outcome.cut += 1
            else:
                self._found.append(Difference(place, Kind.unfounded, bar, None))
        outcome.late += engine.counters.late
        outcome.rejected += engine.counters.rejected
        outcome.read += engine.counters.read
        return Compared(self._number, self._known, self._found)
