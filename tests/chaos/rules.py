"""When windows close: each partition is compared with the reference, and the evidence in each bar with the records.

How much can be said depends on the input. With LogAppendTime the log alone decides about everything. With CreateTime nobody can
tell from the log how much time passed in a silence, so what has been published is the truth: the idle closes are taken from
the bars, none may be before its time, and everything else follows from them and from the log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tests.chaos.published import Published, fields_of
from tests.chaos.verdict import Verdict
from tests.support.reference import Answer, Entry, IdleClose, Rules, ScopeKey, answer, followed

FOREVER_MS = 3_600_000


class Basis(StrEnum):
    """What decides about a close."""

    log = "the log alone"
    published = "the log, and the idle closes that were published"
    # the arrival of a record is neither its timestamp nor a time that the log holds
    bounds = "published bars, within what the log permits"

    @staticmethod
    def of(*, append_time: bool, clock_stepped: bool) -> Basis:
        """The basis for an input topic; `clock_stepped`: the broker's clock was set during the run.

        With LogAppendTime, time that the timer had declared passed may then be taken back by the next record.
        """
        if append_time:
            return Basis.published if clock_stepped else Basis.log
        return Basis.bounds if clock_stepped else Basis.published


@dataclass
class Partition:
    """One partition: its input by offset, the first bar of each window in the order of the topic, and the rest."""

    number: int
    entries: list[Entry]
    bars: list[Published]
    late: set[int]  # offsets
    rejected: dict[int, str]  # offset: reason
    seen_from: dict[int, int]  # offset: a timer that declares this time passed, or a later one, must have seen the record


def check(partition: Partition, rules: Rules, basis: Basis, verdict: Verdict) -> None:
    """Add a violation for everything that closed when it must not, or did not close when it must."""
    _check_evidence(partition, rules, verdict)
    _check_timer(partition, verdict)
    if basis is Basis.log:
        last = max((entry.arrival for entry in partition.entries), default=0)
        expected = answer(partition.entries, rules, until=last + FOREVER_MS)
        _same_bars(partition, expected, verdict)
        _same_side(partition, expected, verdict)
    elif basis is Basis.published:
        expected = followed(partition.entries, rules, _idle_closes(partition, rules))
        verdict.add("an idle close that no rule permits", (f"{_at(partition)}, {said}" for said in expected.objections))
        _same_bars(partition, _with_their_arrivals(partition, expected, verdict), verdict)
        _same_side(partition, expected, verdict)
    else:
        _check_late(partition, rules, verdict)


def _at(partition: Partition) -> str:
    return f"partition {partition.number}"


def _scope(found: Published, rules: Rules) -> ScopeKey:
    return rules.scope_of(found.window.broker, found.window.symbol)


def _check_evidence(partition: Partition, rules: Rules, verdict: Verdict) -> None:
    """What a bar says about its close must be possible, whatever the clocks did."""
    by_offset = {entry.offset: entry for entry in partition.entries}
    too_early, not_closing, reopened = [], [], []
    for found in partition.bars:
        bar, end = found.bar, found.bar["bucket_end"]
        if bar["closed_at_offset"] <= bar["last_offset"]:
            reopened.append(bar)
        if bar["close_reason"] != "watermark":
            continue
        if bar["closed_at"] < end:
            too_early.append(bar)
        closing = by_offset.get(bar["closed_at_offset"])
        if (
            closing is None
            or closing.bad
            or rules.scope_of(closing.broker, closing.symbol) != _scope(found, rules)
            or closing.ts < end + rules.grace
        ):
            not_closing.append(bar)
        elif closing.arrival < end:
            too_early.append(bar)
    verdict.add("a tick closed a window before its end had passed", too_early)
    verdict.add("closed by a record that closes nothing", not_closing)
    verdict.add("closed before its last tick", reopened)


def _same_bars(partition: Partition, expected: Answer, verdict: Verdict) -> bool:
    """Bars and order must be those of the reference; in JSON the bytes, too."""
    wanted: list[Any] = [bar.json() for bar in expected.bars]
    values: list[Any] = [found.record.value for found in partition.bars]
    if any(found.has_schema for found in partition.bars):
        wanted, values = [fields_of(value) for value in wanted], [found.bar for found in partition.bars]
    if values == wanted:
        return True
    at = next((i for i, pair in enumerate(zip(values, wanted, strict=False)) if pair[0] != pair[1]), None)
    text = f"{len(values)} and {len(wanted)} bars" if at is None else f"{values[at]!r}, the reference: {wanted[at]!r}"
    verdict.add("the reference gives other bars", [f"{_at(partition)}, bar {at}: {text}"])
    return False


def _same_side(partition: Partition, expected: Answer, verdict: Verdict) -> None:
    """Late and rejected records must be those of the reference, and the reasons too."""
    theirs = {(offset, "late", "") for offset in partition.late}
    theirs |= {(offset, "rejected", reason) for offset, reason in partition.rejected.items()}
    differ = sorted(theirs ^ set(expected.side))
    verdict.add("the reference gives other late or rejected records", (f"{_at(partition)}: {entry}" for entry in differ))


def _idle_closes(partition: Partition, rules: Rules) -> list[IdleClose]:
    """The idle closes behind the bars: those that closed together are one."""
    closes: list[IdleClose] = []
    for found in partition.bars:
        bar = found.bar
        if bar["close_reason"] == "idle":
            close = IdleClose(bar["closed_at_offset"], bar["closed_at"], bar["watermark"], _scope(found, rules))
            if close not in closes[-1:]:
                closes.append(close)
    return closes


def _with_their_arrivals(partition: Partition, expected: Answer, verdict: Verdict) -> Answer:
    """The expected bars with the arrivals that were published where records closed them: the timer had moved the clock, too."""
    arrivals = {(f.window.broker, f.window.symbol, f.window.start): f.bar["closed_at"] for f in partition.bars}
    bars, too_early = [], []
    for bar in expected.bars:
        at = arrivals.get((bar.broker, bar.symbol, bar.bucket_start), bar.closed_at)
        if at < bar.closed_at:
            too_early.append(f"{_at(partition)}: at {at}, {bar}")
        bars.append(replace(bar, closed_at=at) if bar.close_reason == "watermark" else bar)
    verdict.add("closed before the arrival of the record that closed it", too_early)
    return replace(expected, bars=bars)


def _check_timer(partition: Partition, verdict: Verdict) -> None:
    """No window closes by silence while the next record lies in the log, even behind an open transaction.

    The timer declares the time passed at which it asked for more records, less `idle_margin`, if there were none. A record
    whose producer had the acknowledgement by then was there. One that arrived later closes by its own arrival what is due.
    """
    early, offsets = [], sorted(partition.entries, key=lambda entry: entry.offset, reverse=True)
    for found in sorted(partition.bars, key=lambda found: found.bar["closed_at_offset"]):
        at, offset = found.bar["closed_at"], found.bar["closed_at_offset"]
        while offsets and offsets[-1].offset < offset:
            offsets.pop()
        if found.bar["close_reason"] == "idle" and offsets and offsets[-1].arrival <= at:
            record = offsets[-1]
            if partition.seen_from.get(record.offset, at + 1) <= at:
                early.append(f"{found.bar}, the next record: {record}")
    verdict.add("closed by the timer although the next record was in the log", early)


def _check_late(partition: Partition, rules: Rules, verdict: Verdict) -> None:
    """A tick may be late only where an earlier record, or a published bar, can have closed its window."""
    closed = sorted((found.bar["closed_at_offset"], found.bar["watermark"], _scope(found, rules)) for found in partition.bars)
    watermarks: dict[ScopeKey, int] = {}
    wrong, waiting = [], closed[::-1]
    for entry in partition.entries:
        while waiting and waiting[-1][0] <= entry.offset:
            _, watermark, scope = waiting.pop()
            watermarks[scope] = max(watermark, watermarks.get(scope, 0))
        if entry.bad:
            continue
        scope = rules.scope_of(entry.broker, entry.symbol)
        if entry.offset not in partition.rejected:
            moves_to = min(entry.ts, entry.arrival + rules.grace) - rules.grace
            watermarks[scope] = max(moves_to, watermarks.get(scope, 0))
        end = entry.ts // rules.window_size * rules.window_size + rules.window_size
        if entry.offset in partition.late and end > watermarks[scope]:
            wrong.append(f"{_at(partition)}: {entry}")
    verdict.add("late, but its window was open", wrong)
