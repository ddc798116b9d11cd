"""The verdict: every tick in one bar, or late, or rejected; every true window once, and as one reading gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tables.bars import encode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.chaos.faults import COVERED, Fault
from tests.chaos.feed import SERIAL, Feed
from tests.chaos.market import Meant
from tests.chaos.truth import Shape, Window, fold, published
from tests.support.ticks import Seen
from tests.unit.model import take_finals

SHOWN = 3  # violations of one sort that are told one by one
LONGEST = 900  # characters of one
FOREVER_MS = 3_600_000

Place = tuple[int, int]  # partition and offset of a record in `ticks`


@dataclass
class Topics:
    """Everything that was read back, committed records only, in order of partition and offset."""

    ticks: list[Seen]
    finals: list[Seen]
    late: list[Seen]
    rejected: list[Seen]


@dataclass
class Verdict:
    """What was counted, and what is wrong."""

    records: int = 0
    windows: int = 0
    binned: int = 0
    late: int = 0
    rejected: int = 0
    heartbeats: int = 0
    idle: int = 0
    sent_again: int = 0
    repeated: Counter[str] = field(default_factory=Counter)  # by kind of fault: keys with an equal value, which is allowed
    violations: list[str] = field(default_factory=list)

    def wrong(self, sort: str, cases: Iterable[object]) -> None:
        """A rule that was broken, by each of these cases."""
        found = list(cases)
        self.violations += [f"{sort}: {case}"[:LONGEST] for case in found[:SHOWN]]
        if len(found) > SHOWN:
            self.violations.append(f"{sort}: and {len(found) - SHOWN} more")


class Judge:
    """Looks at what the topics hold once everything has ended."""

    def __init__(
        self, topics: Topics, feed: Feed, faults: Sequence[Fault], config: EngineConfig, *, exactly_once: bool
    ) -> None:
        self._topics, self._feed, self._faults, self._config = topics, feed, faults, config
        self._exactly_once = exactly_once
        self.verdict = Verdict(records=len(topics.ticks), sent_again=feed.repeated.total())

    def judge(self, accounting: dict[int, dict[str, Any]]) -> Verdict:
        """`accounting`: the workers' own counters at the end, by partition."""
        meant = self._input()
        late, rejected = self._side(self._topics.late, "late"), self._side(self._topics.rejected, "rejected")
        good = [seen for seen in self._topics.ticks if meant[seen.partition, seen.offset] is Meant.tick]
        broken = {place for place, what in meant.items() if what is Meant.broken}
        places = {(seen.partition, seen.offset) for seen in good}
        verdict = self.verdict
        verdict.wrong("late, but no tick that could be", sorted(late - places))
        verdict.wrong("rejected, but nothing is wrong with it", sorted(rejected - broken))
        verdict.wrong("not rejected, but broken", sorted(broken - rejected))
        first = self._finals()
        self._compare(
            first, fold((seen for seen in good if (seen.partition, seen.offset) not in late), self._config.window_size)
        )
        verdict.windows, verdict.late, verdict.rejected = len(first), len(late), len(rejected)
        verdict.heartbeats = sum(what is Meant.heartbeat for what in meant.values())
        self._balance(meant, first, late, rejected, accounting)
        self._one_reading(late, rejected)
        return verdict

    def _input(self) -> dict[Place, Meant]:
        """What each record of `ticks` is; the producer's records must all be there, each once unless it was sent again."""
        feed, meant, times = self._feed, {}, Counter[int]()
        for seen in self._topics.ticks:
            serial = int(seen.headers[SERIAL])
            record = feed.records[serial]
            meant[seen.partition, seen.offset] = record.meant
            times[serial] += 1
            if (seen.key, seen.value, seen.partition) != (record.key, record.value, record.partition):
                self.verdict.wrong("the broker changed a record", [seen])
            if feed.acknowledged[serial] == (seen.partition, seen.offset):
                times[-1] += 1
        missing = [serial for serial in range(len(feed.records)) if not times[serial]]
        self.verdict.wrong("the broker lost an acknowledged record", missing)
        if not missing and times.pop(-1, 0) != len(feed.records):
            self.verdict.wrong("acknowledged", ["with an offset at which it does not lie"])
        twice = [serial for serial, count in times.items() if count > 1 + feed.repeated[serial]]
        self.verdict.wrong("the broker wrote a record twice that was sent once", twice)
        return meant

    def _side(self, records: list[Seen], name: str) -> set[Place]:
        """Which records of the input a side topic holds, once each: they are part of a transaction in both modes."""
        source = {(seen.partition, seen.offset): seen for seen in self._topics.ticks}
        places: set[Place] = set()
        for seen in records:
            _, partition, offset = (seen.key or b"").decode().split("|")
            place = int(partition), int(offset)
            if place not in source or source[place].value != seen.value or place[0] != seen.partition:
                self.verdict.wrong(f"{name}, but not as it came", [seen])
            places.add(place)
        if len(records) > len(places):
            self.verdict.wrong(f"{name}, and told more than once", [f"{len(records) - len(places)} times"])
        return places

    def _finals(self) -> dict[Window, Seen]:
        """The first record of each window; a repetition needs an equal value and a fault that explains it."""
        first: dict[Window, Seen] = {}
        for seen in self._topics.finals:
            window, _ = published(seen)
            before = first.setdefault(window, seen)
            if before is seen:
                continue
            where = f"{window} at offsets {before.offset} and {seen.offset}"
            if before.content != seen.content:
                self.verdict.wrong("published twice with different values", [f"{where}: {before.value!r} {seen.value!r}"])
                continue
            causes = [fault for fault in self._faults if fault.holds(seen.partition, before.offset)]
            covered = [fault.kind for fault in causes if fault.kind in COVERED]
            if self._exactly_once or not covered:
                around = ", ".join(f"{fault.kind} #{fault.number}" for fault in causes) or "no fault"
                self.verdict.wrong("published twice", [f"{where}, around: {around}"])
            else:
                self.verdict.repeated[covered[-1]] += 1
        return first

    def _compare(self, first: dict[Window, Seen], true: dict[Window, Shape]) -> None:
        found = {window: published(seen)[1] for window, seen in first.items()}
        self.verdict.wrong("a window without a bar", (f"{w}: {true[w]}" for w in sorted(true.keys() - found.keys())))
        self.verdict.wrong("a bar without a window", (f"{w}: {found[w]}" for w in sorted(found.keys() - true.keys())))
        differ = [window for window in sorted(true.keys() & found.keys()) if true[window] != found[window]]
        self.verdict.wrong("a wrong bar", (f"{window}: {found[window]}, true: {true[window]}" for window in differ))

    def _balance(
        self,
        meant: dict[Place, Meant],
        first: dict[Window, Seen],
        late: set[Place],
        rejected: set[Place],
        accounting: dict[int, dict[str, Any]],
    ) -> None:
        """Conservation, by partition: by the topics and by the workers' own counters."""
        for number in sorted({seen.partition for seen in self._topics.ticks}):
            ours = {
                "read": sum(partition == number for partition, _ in meant),
                "binned": sum(published(seen)[1].ticks for window, seen in first.items() if window[0] == number),
                "late": sum(partition == number for partition, _ in late),
                "rejected": sum(partition == number for partition, _ in rejected),
                "heartbeats": sum(place[0] == number and what is Meant.heartbeat for place, what in meant.items()),
            }
            self.verdict.binned += ours["binned"]
            if ours["read"] != sum(ours.values()) - ours["read"]:
                self.verdict.wrong("the topics do not balance", [f"partition {number}: {ours}"])
            theirs = {name: accounting.get(number, {}).get(name) for name in ours}
            if theirs != ours:
                self.verdict.wrong("the worker counted otherwise", [f"partition {number}: {theirs}, in the topics: {ours}"])

    def _one_reading(self, late: set[Place], rejected: set[Place]) -> None:
        """Bars are a pure function of the topic: one engine that never stops gives the same bytes in the same order."""
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
                told = (
                    f"{len(values)} and {len(expected)} bars"
                    if at is None
                    else f"{values[at]!r}, one reading: {expected[at]!r}"
                )
                verdict.wrong("one reading of the topic gives other bars", [f"partition {number}, bar {at}: {told}"])
                self._clock(records, seen_once.values())
            side = {(record.kind, number, record.offset) for record in engine.take_side()}
            theirs = {("late", *place) for place in late} | {("rejected", *place) for place in rejected}
            differ = sorted(side ^ {entry for entry in theirs if entry[1] == number})
            verdict.wrong("one reading of the topic puts it aside otherwise", differ)

    def _clock(self, records: list[Seen], finals: Iterable[Seen]) -> None:
        """Whether a difference comes from the broker: a record that showed later than its arrival time plus idle_margin."""
        arrivals = {seen.offset: seen.timestamp for seen in records}
        early = [
            seen.bar
            for seen in finals
            if seen.bar.close_reason == "idle"
            and arrivals.get(seen.bar.closed_at_offset, FOREVER_MS << 20) <= seen.bar.closed_at
        ]
        self.verdict.wrong("closed by the timer before a record that had arrived showed (raise idle_margin?)", early)
