"""The verdict: each tick is in one bar, or late, or rejected; each window has one bar, equal to that of a single engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tables.bars import encode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.chaos.faults import MAY_REPEAT, Fault
from tests.chaos.feed import SERIAL, Feed
from tests.chaos.synthetic_ticks import Label
from tests.chaos.truth import Shape, Window, fold, published
from tests.support.ticks import Seen
from tests.unit.model import take_finals

SHOWN = 3  # violations of one kind that are listed
LONGEST = 900  # characters of one violation
FOREVER_MS = 3_600_000

Place = tuple[int, int]  # partition and offset of a record in `ticks`


@dataclass
class Topics:
    """The committed records of all topics, by partition and offset."""

    ticks: list[Seen]
    finals: list[Seen]
    late: list[Seen]
    rejected: list[Seen]


@dataclass
class Verdict:
    """The counts, and the violations."""

    records: int = 0
    windows: int = 0
    binned: int = 0
    late: int = 0
    rejected: int = 0
    heartbeats: int = 0
    idle: int = 0
    sent_again: int = 0
    repeated: Counter[str] = field(default_factory=Counter)  # allowed repetitions with an equal value, by kind of fault
    violations: list[str] = field(default_factory=list)

    def add(self, kind: str, cases: Iterable[object]) -> None:
        """Add a violation for each case, at most `SHOWN` of them in full."""
        listed = list(cases)
        self.violations += [f"{kind}: {case}"[:LONGEST] for case in listed[:SHOWN]]
        if len(listed) > SHOWN:
            self.violations.append(f"{kind}: and {len(listed) - SHOWN} more")


class Judge:
    """Compares the topics, once all workers have stopped, with what was sent."""

    def __init__(
        self, topics: Topics, feed: Feed, faults: Sequence[Fault], config: EngineConfig, *, exactly_once: bool
    ) -> None:
        self._topics, self._feed, self._faults, self._config = topics, feed, faults, config
        self._exactly_once = exactly_once
        self.verdict = Verdict(records=len(topics.ticks), sent_again=feed.repeated.total())

    def judge(self, accounting: dict[int, dict[str, Any]]) -> Verdict:
        """Check everything; `accounting`: the workers' counters at the end, by partition."""
        labels = self._input()
        late, rejected = self._side(self._topics.late, "late"), self._side(self._topics.rejected, "rejected")
        good = [seen for seen in self._topics.ticks if labels[seen.partition, seen.offset] is Label.tick]
        invalid = {place for place, label in labels.items() if label is Label.invalid}
        places = {(seen.partition, seen.offset) for seen in good}
        verdict = self.verdict
        verdict.add("late, but not a valid tick", sorted(late - places))
        verdict.add("rejected, but valid", sorted(rejected - invalid))
        verdict.add("invalid, but not rejected", sorted(invalid - rejected))
        first = self._finals()
        self._compare(
            first, fold((seen for seen in good if (seen.partition, seen.offset) not in late), self._config.window_size)
        )
        verdict.windows, verdict.late, verdict.rejected = len(first), len(late), len(rejected)
        verdict.heartbeats = sum(label is Label.heartbeat for label in labels.values())
        self._balance(labels, first, late, rejected, accounting)
        self._compare_with_one_engine(late, rejected)
        return verdict

    def _input(self) -> dict[Place, Label]:
        """The label of each record of `ticks`. All records must be there, each once unless it was sent again."""
        feed, labels, times = self._feed, {}, Counter[int]()
        for seen in self._topics.ticks:
            serial = int(seen.headers[SERIAL])
            record = feed.records[serial]
            labels[seen.partition, seen.offset] = record.label
            times[serial] += 1
            if (seen.key, seen.value, seen.partition) != (record.key, record.value, record.partition):
                self.verdict.add("the broker changed a record", [seen])
            if feed.acknowledged[serial] == (seen.partition, seen.offset):
                times[-1] += 1
        missing = [serial for serial in range(len(feed.records)) if not times[serial]]
        self.verdict.add("the broker lost an acknowledged record", missing)
        if not missing and times.pop(-1, 0) != len(feed.records):
            self.verdict.add("acknowledged", ["with an offset that holds another record"])
        twice = [serial for serial, count in times.items() if count > 1 + feed.repeated[serial]]
        self.verdict.add("the broker wrote a record twice", twice)
        return labels

    def _side(self, records: list[Seen], name: str) -> set[Place]:
        """The input records in a side topic. Each may be there once: both modes write them in a transaction."""
        source = {(seen.partition, seen.offset): seen for seen in self._topics.ticks}
        places: set[Place] = set()
        for seen in records:
            _, partition, offset = (seen.key or b"").decode().split("|")
            place = int(partition), int(offset)
            if place not in source or source[place].value != seen.value or place[0] != seen.partition:
                self.verdict.add(f"{name}, but changed", [seen])
            places.add(place)
        if len(records) > len(places):
            self.verdict.add(f"{name} more than once", [f"{len(records) - len(places)} times"])
        return places

    def _finals(self) -> dict[Window, Seen]:
        """The first record of each window. A repetition must have an equal value and a fault that permits it."""
        first: dict[Window, Seen] = {}
        for seen in self._topics.finals:
            window, _ = published(seen)
            before = first.setdefault(window, seen)
            if before is seen:
                continue
            where = f"{window} at offsets {before.offset} and {seen.offset}"
            if before.content != seen.content:
                self.verdict.add("published twice with different values", [f"{where}: {before.value!r} {seen.value!r}"])
                continue
            causes = [fault for fault in self._faults if fault.covers(seen.partition, before.offset)]
            permitted = [fault.kind for fault in causes if fault.kind in MAY_REPEAT]
            if self._exactly_once or not permitted:
                around = ", ".join(f"{fault.kind} #{fault.number}" for fault in causes) or "no fault"
                self.verdict.add("published twice", [f"{where}, around: {around}"])
            else:
                self.verdict.repeated[permitted[-1]] += 1
        return first

    def _compare(self, first: dict[Window, Seen], true: dict[Window, Shape]) -> None:
        found = {window: published(seen)[1] for window, seen in first.items()}
        self.verdict.add("a window without a bar", (f"{w}: {true[w]}" for w in sorted(true.keys() - found.keys())))
        self.verdict.add("a bar without a window", (f"{w}: {found[w]}" for w in sorted(found.keys() - true.keys())))
        differ = [window for window in sorted(true.keys() & found.keys()) if true[window] != found[window]]
        self.verdict.add("a wrong bar", (f"{window}: {found[window]}, true: {true[window]}" for window in differ))

    def _balance(
        self,
        labels: dict[Place, Label],
        first: dict[Window, Seen],
        late: set[Place],
        rejected: set[Place],
        accounting: dict[int, dict[str, Any]],
    ) -> None:
        """Each partition must balance, by the topics and by the workers' counters."""
        for number in sorted({seen.partition for seen in self._topics.ticks}):
            ours = {
                "read": sum(partition == number for partition, _ in labels),
                "binned": sum(published(seen)[1].ticks for window, seen in first.items() if window[0] == number),
                "late": sum(partition == number for partition, _ in late),
                "rejected": sum(partition == number for partition, _ in rejected),
                "heartbeats": sum(place[0] == number and label is Label.heartbeat for place, label in labels.items()),
            }
            self.verdict.binned += ours["binned"]
            if ours["read"] != sum(ours.values()) - ours["read"]:
                self.verdict.add("the topics do not balance", [f"partition {number}: {ours}"])
            theirs = {name: accounting.get(number, {}).get(name) for name in ours}
            if theirs != ours:
                self.verdict.add("the worker has other counts", [f"partition {number}: {theirs}, in the topics: {ours}"])

    def _compare_with_one_engine(self, late: set[Place], rejected: set[Place]) -> None:
        """Bars are a pure function of the topic: one engine that never stops must give the same bytes in the same order."""
        verdict = self.verdict
        for number in sorted({seen.partition for seen in self._topics.ticks}):
            records = [seen for seen in self._topics.ticks if seen.partition == number]
            engine = Engine(self._config)
            engine.feed(records)  # type: ignore[arg-type]  # the engine passes on headers, which Seen has as a mapping
            engine.advance_arrival(engine.arrival + FOREVER_MS)
            bars = [(bar.broker, bar.symbol, bar.bucket_start, encode_bar(bar)) for bar in take_finals(engine)]
            seen_once: dict[bytes | None, Seen] = {}
            for seen in self._topics.finals:
                if seen.partition == number:
                    seen_once.setdefault(seen.key, seen)
                    verdict.idle += b'"close_reason":"idle"' in (seen.value or b"")
            values = [seen.value for seen in seen_once.values()]
            expected = [value for *_, value in bars]
            if values != expected:
                at = next((i for i, pair in enumerate(zip(values, expected, strict=False)) if pair[0] != pair[1]), None)
                difference = (
                    f"{len(values)} and {len(expected)} bars" if at is None else f"{values[at]!r}, one engine: {expected[at]!r}"
                )
                verdict.add("one engine gives other bars", [f"partition {number}, bar {at}: {difference}"])
                self._clock(records, seen_once.values())
            side = {(record.kind, number, record.offset) for record in engine.take_side()}
            theirs = {("late", *place) for place in late} | {("rejected", *place) for place in rejected}
            differ = sorted(side ^ {entry for entry in theirs if entry[1] == number})
            verdict.add("one engine gives other late or rejected records", differ)

    def _clock(self, records: list[Seen], finals: Iterable[Seen]) -> None:
        """Whether the broker caused a difference: it showed a record later than its arrival time plus idle_margin."""
        arrivals = {seen.offset: seen.timestamp for seen in records}
        early = [
            seen.bar
            for seen in finals
            if seen.bar.close_reason == "idle"
            and arrivals.get(seen.bar.closed_at_offset, FOREVER_MS << 20) <= seen.bar.closed_at
        ]
        self.verdict.add("closed by the timer before the broker showed a record that had arrived (raise idle_margin?)", early)
