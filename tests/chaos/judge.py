"""The verdict: each tick is in one bar, or late, or rejected; each window has one bar, and the bar is right.

The judge reads the topics only, and shares no code with the worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.kinds import MAY_REPEAT, Fault, Kind
from tests.chaos.published import Published, Window
from tests.chaos.rules import Basis, Partition, check
from tests.chaos.sent import SERIAL, Label, SentLog, Stored
from tests.chaos.verdict import Verdict
from tests.support.reference import Bar, Entry, Rules, bar_of
from tests.support.reference_records import parsed

Place = tuple[int, int]  # partition and offset of a record in `ticks`
# of a bar; the other fields follow from its ticks
EVIDENCE = {"close_reason", "closed_at", "watermark", "closed_at_offset", "partial", "corrected"}


@dataclass
class Topics:
    """The committed records of all topics, by partition and offset."""

    ticks: Sequence[Stored]
    finals: Sequence[Stored]
    late: Sequence[Stored]
    rejected: Sequence[Stored]


class Judge:
    """Compares the topics, once all workers have stopped, with what was sent."""

    def __init__(
        self,
        topics: Topics,
        sent: SentLog,
        faults: Sequence[Fault],
        rules: Rules,
        *,
        idle_margin: int,
        append_time: bool,
        exactly_once: bool,
    ) -> None:
        """`append_time`: the input has LogAppendTime. `exactly_once`: no repetition is permitted."""
        self._topics, self._sent, self._faults, self._rules = topics, sent, faults, rules
        self._idle_margin, self._exactly_once = idle_margin, exactly_once
        self._clock_stepped = any(fault.kind is Kind.broker_clock for fault in faults)
        self._basis = Basis.of(append_time=append_time, clock_stepped=self._clock_stepped)
        self._entries: dict[Place, Entry] = {}
        self.verdict = Verdict(records=len(topics.ticks), sent_again=sent.repeated.total())

    def judge(self, accounting: dict[int, dict[str, Any]]) -> Verdict:
        """Check everything; `accounting`: the workers' counters at the end, by partition."""
        verdict, labels = self.verdict, self._input()
        self._entries = {(seen.partition, seen.offset): parsed(seen) for seen in self._topics.ticks}
        late, rejected = set(self._side(self._topics.late, "late")), self._side(self._topics.rejected, "rejected")
        invalid = {place for place, label in labels.items() if label is Label.invalid}
        ticks = {place for place, label in labels.items() if label is Label.tick}
        # by a clock that is hours behind, every tick is from the future
        excused = {place for place, reason in rejected.items() if self._clock_stepped and reason == "future"}
        verdict.add("late, but not a valid tick", sorted(late - ticks))
        verdict.add("rejected, but valid", sorted(rejected.keys() - invalid - excused))
        verdict.add("invalid, but not rejected", sorted(invalid - rejected.keys()))
        verdict.add("late and rejected", sorted(late & rejected.keys()))
        beats = {place for place, label in labels.items() if label is Label.heartbeat} - rejected.keys()
        first = self._finals()
        self._compare(first, self._true_bars(ticks - late - rejected.keys()))
        verdict.windows, verdict.late, verdict.rejected, verdict.heartbeats = len(first), len(late), len(rejected), len(beats)
        keys = Counter((window.broker, window.symbol, window.start) for window in first)
        verdict.shared_keys = sum(count > 1 for count in keys.values())
        verdict.idle = sum(found.bar["close_reason"] == "idle" for found in first.values())
        for number in sorted({seen.partition for seen in self._topics.ticks}):
            counts = {
                "read": sum(place[0] == number for place in labels),
                "binned": sum(found.bar["ticks"] for window, found in first.items() if window.partition == number),
                "late": sum(place[0] == number for place in late),
                "rejected": sum(place[0] == number for place in rejected),
                "heartbeats": sum(place[0] == number for place in beats),
            }
            self._balance(number, counts, accounting.get(number, {}))
            check(self._partition(number, first, late, rejected), self._rules, self._basis, verdict)
        return verdict

    def _partition(
        self, number: int, first: dict[Window, Published], late: set[Place], rejected: dict[Place, str]
    ) -> Partition:
        return Partition(
            number,
            [self._entries[place] for place in sorted(self._entries) if place[0] == number],
            [found for window, found in first.items() if window.partition == number],
            {offset for partition, offset in late if partition == number},
            {offset: reason for (partition, offset), reason in rejected.items() if partition == number},
            {
                offset: self._sent.acknowledged_ms[serial] - self._idle_margin
                for serial, (partition, offset) in self._sent.acknowledged.items()
                if partition == number and serial in self._sent.acknowledged_ms and not self._clock_stepped
            },
        )

    def _input(self) -> dict[Place, Label]:
        """The label of each record of `ticks`. All records must be there, each once unless it was sent again."""
        sent, verdict, labels, times = self._sent, self.verdict, {}, Counter[int]()
        misplaced, changed, unsent = [], [], []
        for seen in self._topics.ticks:
            if SERIAL not in seen.headers:
                unsent.append(f"{seen.partition}/{seen.offset}: {seen.value!r}")
                continue
            serial = int(seen.headers[SERIAL])
            record = sent.records[serial]
            labels[seen.partition, seen.offset] = record.label
            times[serial] += 1
            if (seen.key, seen.value, seen.partition) != (record.key, record.value, record.partition):
                changed.append(seen)
        places = {(seen.partition, seen.offset): seen.headers.get(SERIAL) for seen in self._topics.ticks}
        missing = [serial for serial in range(len(sent.records)) if not times[serial]]
        misplaced = [
            serial for serial, place in sent.acknowledged.items() if times[serial] and places.get(place) != str(serial).encode()
        ]
        verdict.add("the broker changed a record", changed)
        verdict.add("the broker showed a record of an aborted transaction", unsent)
        verdict.add("the broker lost an acknowledged record", missing)
        verdict.add("the broker acknowledged a record at the offset of another one", misplaced)
        twice = [serial for serial, count in times.items() if count > 1 + sent.repeated[serial]]
        verdict.add("the broker wrote a record twice", twice)
        return labels

    def _side(self, records: Sequence[Stored], name: str) -> dict[Place, str]:
        """The input records in a side topic, with their reasons. Each is there once: both modes write them in a transaction."""
        source = {(seen.partition, seen.offset): seen for seen in self._topics.ticks}
        places: dict[Place, str] = {}
        changed = []
        for seen in records:
            _, partition, offset = (seen.key or b"").decode().split("|")
            place = int(partition), int(offset)
            if place not in source or source[place].value != seen.value or place[0] != seen.partition:
                changed.append(seen)
            places[place] = seen.headers["reason"].decode()
        self.verdict.add(f"{name}, but changed", changed)
        if len(records) > len(places):
            self.verdict.add(f"{name} more than once", [f"{len(records) - len(places)} times"])
        return places

    def _finals(self) -> dict[Window, Published]:
        """The first record of each window. A repetition must have an equal value and a fault that permits it."""
        first: dict[Window, Published] = {}
        differing, forbidden = [], []
        for record in self._topics.finals:
            found = Published.of(record)
            before = first.setdefault(found.window, found)
            if before is found:
                continue
            where = f"{found.window} at offsets {before.record.offset} and {record.offset}"
            causes = [fault for fault in self._faults if fault.covers(record.partition, before.record.offset)]
            around = ", ".join(f"{fault.kind} #{fault.number}" for fault in causes) or "no fault"
            permitted = [fault.kind for fault in causes if fault.kind in MAY_REPEAT]
            if before.record.value != record.value:
                differing.append(f"{where}, around: {around}: {before.record.value!r} {record.value!r}")
            elif self._exactly_once or not permitted:
                forbidden.append(f"{where}, around: {around}")
            else:
                self.verdict.repeated[permitted[-1]] += 1
        self.verdict.add("published twice with different values", differing)
        self.verdict.add("published twice", forbidden)
        return first

    def _true_bars(self, places: set[Place]) -> dict[Window, Bar]:
        """The bars that must be there: each is the fold of the ticks of its window that are neither late nor rejected."""
        size = self._rules.window_size
        inside: dict[Window, list[Entry]] = {}
        for place in sorted(places):
            tick = self._entries[place]
            inside.setdefault(Window(place[0], tick.broker, tick.symbol, tick.ts // size * size), []).append(tick)
        return {w: bar_of((w.start + size, w.broker, w.symbol), ticks, size) for w, ticks in inside.items()}

    def _compare(self, first: dict[Window, Published], true: dict[Window, Bar]) -> None:
        def expected(window: Window) -> dict[str, Any]:
            return {name: value for name, value in vars(true[window]).items() if name not in EVIDENCE}

        def shown(window: Window) -> dict[str, Any]:
            return {name: value for name, value in first[window].bar.items() if name not in EVIDENCE}

        add = self.verdict.add
        add("a window without a bar", (f"{w}: {expected(w)}" for w in sorted(true.keys() - first.keys())))
        add("a bar without a window", (f"{w}: {shown(w)}" for w in sorted(first.keys() - true.keys())))
        differ = [w for w in sorted(true.keys() & first.keys()) if shown(w) != expected(w)]
        add("a wrong bar", (f"{w}: {shown(w)}, true: {expected(w)}" for w in differ))

    def _balance(self, number: int, ours: dict[str, int], accounting: dict[str, Any]) -> None:
        """A partition must balance, by the topics and by the worker's counters."""
        self.verdict.binned += ours["binned"]
        if 2 * ours["read"] != sum(ours.values()):
            self.verdict.add("the topics do not balance", [f"partition {number}: {ours}"])
        theirs = {name: accounting.get(name) for name in ours}
        if theirs != ours:
            self.verdict.add("the worker has other counts", [f"partition {number}: {theirs}, in the topics: {ours}"])
