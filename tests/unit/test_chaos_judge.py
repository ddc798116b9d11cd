"""The judge of the crash test finds nothing where everything is right, and each broken rule by its name."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pytest

from tests.chaos.judge import Judge, Topics
from tests.chaos.kinds import Fault, Kind
from tests.chaos.options import GRACE_MS, IDLE_MARGIN_MS, WINDOW_MS
from tests.chaos.sent import SERIAL, Label, SentLog
from tests.chaos.synthetic_ticks import market
from tests.chaos.verdict import Verdict
from tests.support.reference import Answer, Rules, answer
from tests.support.reference_records import parsed
from tests.support.ticks import Seen

START, PARTITIONS, RECORDS = 1_700_000_040_000, 2, 1_500
RULES = Rules(WINDOW_MS, GRACE_MS)
ON_THE_WAY_MS, ACKNOWLEDGED_MS = 3, 5  # after a record was sent
HOUR = 3_600_000


@dataclass
class World:
    """The topics after a run without a fault. A test breaks something in it."""

    sent: SentLog
    ticks: list[Seen]
    finals: list[Seen]
    late: list[Seen]
    rejected: list[Seen]
    accounting: dict[int, dict[str, int]]
    faults: list[Fault]
    append_time: bool = True
    exactly_once: bool = True

    def verdict(self) -> Verdict:
        topics = Topics(self.ticks, self.finals, self.late, self.rejected)
        return Judge(
            topics,
            self.sent,
            self.faults,
            RULES,
            idle_margin=IDLE_MARGIN_MS,
            append_time=self.append_time,
            exactly_once=self.exactly_once,
        ).judge(self.accounting)

    def change(self, at: int, **fields: Any) -> None:
        """Change fields of a bar."""
        seen = self.finals[at]
        self.finals[at] = replace(seen, value=json.dumps({**json.loads(seen.value or b""), **fields}).encode())

    def find(self, reason: str, start: int = 0) -> int:
        """The place of a bar with this reason."""
        return next(i for i, seen in enumerate(self.finals) if i >= start and seen.bar.close_reason == reason)


def right(ms: int) -> int:
    """A clock that is right."""
    return ms


def world(arrival: Callable[[int], int] = right) -> World:
    """The market's beginning, and what a worker makes of it; `arrival`: what the clock of the timestamps shows at a time."""
    return copy.deepcopy(_world(arrival))


@functools.cache
def _world(arrival: Callable[[int], int]) -> World:
    log, ticks = SentLog(), list[Seen]()
    ends = dict.fromkeys(range(PARTITIONS), 0)
    for serial, record in enumerate(islice(market(7, START, PARTITIONS), RECORDS)):
        number, offset = record.partition, ends[record.partition]
        ends[number] += 1
        log.records.append(record)
        log.acknowledged[serial], log.acknowledged_ms[serial] = (number, offset), record.at_ms + ACKNOWLEDGED_MS
        came, headers = arrival(record.at_ms + ON_THE_WAY_MS), {SERIAL: str(serial).encode()}
        ticks.append(Seen(number, offset, came, record.key, record.value, headers))
    ticks.sort(key=lambda seen: (seen.partition, seen.offset))
    made = World(log, ticks, [], [], [], {}, [])
    for number in range(PARTITIONS):
        mine = [seen for seen in ticks if seen.partition == number]
        _publish(made, number, mine, answer([parsed(seen) for seen in mine], RULES, until=mine[-1].timestamp + HOUR))
    return made


def _publish(made: World, number: int, mine: list[Seen], found: Answer) -> None:
    made.finals += [Seen(number, at, bar.bucket_start, bar.key(), bar.json()) for at, bar in enumerate(found.bars)]
    by_offset = {seen.offset: seen for seen in mine}
    for offset, kind, reason in found.side:
        topic = made.late if kind == "late" else made.rejected
        key, headers = f"ticks|{number}|{offset}".encode(), {"reason": (reason or kind).encode()}
        topic.append(Seen(number, len(topic), 0, key, by_offset[offset].value, headers))
    made.accounting[number] = {name: found.counts[name] for name in ("read", "binned", "late", "rejected", "heartbeats")}


def fault(kind: Kind) -> Fault:
    return Fault(1, kind, "", overlaps=False)


def kinds_of(verdict: Verdict) -> set[str]:
    return {violation.split(":")[0] for violation in verdict.violations}


def hours_wrong(ms: int) -> int:
    """A clock that is two hours ahead for a while, and three behind for another."""
    return ms + 2 * HOUR * (START + 3_000 < ms < START + 6_000) - 3 * HOUR * (START + 9_000 < ms < START + 11_000)


@pytest.mark.parametrize("append_time", [True, False])
def test_a_run_that_is_right_has_no_violation(append_time: bool) -> None:  # noqa: FBT001  # a table
    made = world()
    made.append_time = append_time
    verdict = made.verdict()
    assert verdict.violations == []
    assert min(verdict.windows - verdict.idle, verdict.idle, verdict.late, verdict.rejected, verdict.heartbeats) > 0
    assert verdict.shared_keys > 0
    assert verdict.binned + verdict.late + verdict.rejected + verdict.heartbeats == verdict.records == RECORDS


@pytest.mark.parametrize("append_time", [True, False])
def test_a_clock_of_the_broker_that_was_hours_wrong_is_no_violation(append_time: bool) -> None:  # noqa: FBT001  # a table
    made = world(hours_wrong if append_time else right)
    made.append_time, made.faults = append_time, [fault(Kind.broker_clock)]
    verdict = made.verdict()
    assert verdict.violations == []
    reasons = {seen.headers["reason"] for seen in made.rejected}
    assert (b"future" in {seen.headers["reason"] for seen in made.rejected}) or not append_time, reasons


def test_a_repetition_with_an_equal_value_is_permitted_after_a_freeze_and_not_where_delivery_is_exactly_once() -> None:
    made = world()
    made.exactly_once, made.faults = False, [fault(Kind.freeze)]
    made.finals.append(replace(made.finals[0], offset=10_000))
    verdict = made.verdict()
    assert (verdict.violations, verdict.repeated) == ([], {Kind.freeze: 1})
    made.exactly_once = True
    assert kinds_of(made.verdict()) == {"published twice"}


# ---- each rule, broken once


def change_a_record(made: World) -> None:
    made.ticks[5] = replace(made.ticks[5], key=b"north|other")


def show_an_aborted_record(made: World) -> None:
    made.ticks.append(Seen(1, 100_000, made.ticks[-1].timestamp, b"north|a1", b"{}"))


def lose_a_record(made: World) -> None:
    del made.ticks[-1]


def acknowledge_elsewhere(made: World) -> None:
    made.sent.acknowledged[0] = made.sent.acknowledged[1]


def write_a_record_twice(made: World) -> None:
    made.ticks.append(replace(made.ticks[-1], offset=100_000))


def change_a_late_record(made: World) -> None:
    made.late[0] = replace(made.late[0], value=b"other")


def repeat_a_late_record(made: World) -> None:
    made.late.append(made.late[0])


def call_a_heartbeat_late(made: World) -> None:
    serial = next(i for i, record in enumerate(made.sent.records) if record.label is Label.heartbeat)
    number, offset = made.sent.acknowledged[serial]
    key = f"ticks|{number}|{offset}".encode()
    made.late.append(replace(made.late[0], partition=number, key=key, value=made.sent.records[serial].value))


def reject_a_tick(made: World) -> None:
    made.rejected.append(replace(made.late[0], headers={"reason": b"price"}))


def accept_what_is_invalid(made: World) -> None:
    del made.rejected[0]


def give_another_reason(made: World) -> None:
    made.rejected[0] = replace(made.rejected[0], headers={"reason": b"other"})


def lose_a_late_tick(made: World) -> None:
    del made.late[0]


def lose_a_bar(made: World) -> None:
    del made.finals[10]


def invent_a_bar(made: World) -> None:
    made.finals.append(replace(made.finals[0], offset=10_000))
    made.change(-1, symbol="invented")


def repeat_a_bar(made: World) -> None:
    made.finals.append(replace(made.finals[0], offset=10_000))


def repeat_a_bar_differently(made: World) -> None:
    repeat_a_bar(made)
    made.change(-1, high=9)


def change_a_price(made: World) -> None:
    made.change(10, high=9)


def swap_bars(made: World) -> None:
    made.finals[10], made.finals[11] = made.finals[11], made.finals[10]


def count_wrong(made: World) -> None:
    made.accounting[0]["read"] += 1


def close_by_a_tick_too_early(made: World) -> None:
    at = made.find("watermark")
    made.change(at, closed_at=made.finals[at].bar.bucket_end - 1)


def close_by_another_scope(made: World) -> None:
    at = made.find("watermark", made.find("idle"))
    bar = made.finals[at].bar
    other = next(
        seen.offset
        for seen in made.ticks
        if seen.offset > bar.closed_at_offset and not (seen.key or b"").startswith(bar.broker.encode())
    )
    made.change(at, closed_at_offset=other)


def close_before_the_last_tick(made: World) -> None:
    made.change(10, closed_at_offset=made.finals[10].bar.last_offset)


def close_before_it_is_due(made: World) -> None:
    at = made.find("idle")
    made.change(at, closed_at=made.finals[at].bar.closed_at - 1)


def close_an_end_without_a_window(made: World) -> None:
    at = made.find("idle")
    made.change(at, watermark=made.finals[at].bar.watermark + WINDOW_MS)


def close_before_the_record_that_closes_arrived(made: World) -> None:
    at = made.find("watermark")
    made.change(at, closed_at=made.finals[at].bar.closed_at - 1)


def close_although_a_record_was_there(made: World) -> None:
    """The timer was ahead: it said that the due time had passed. The bar holds that time, and the next record came before."""
    at = made.find("idle")
    bar = made.finals[at].bar
    made.change(at, closed_at=bar.closed_at + 60_000)


CASES: Iterable[tuple[Callable[[World], None], str]] = (
    (change_a_record, "the broker changed a record"),
    (show_an_aborted_record, "the broker showed a record of an aborted transaction"),
    (lose_a_record, "the broker lost an acknowledged record"),
    (acknowledge_elsewhere, "the broker acknowledged a record at the offset of another one"),
    (write_a_record_twice, "the broker wrote a record twice"),
    (change_a_late_record, "late, but changed"),
    (repeat_a_late_record, "late more than once"),
    (call_a_heartbeat_late, "late, but not a valid tick"),
    (reject_a_tick, "late and rejected"),
    (reject_a_tick, "rejected, but valid"),
    (accept_what_is_invalid, "invalid, but not rejected"),
    (give_another_reason, "the reference gives other late or rejected records"),
    (lose_a_late_tick, "the reference gives other late or rejected records"),
    (lose_a_late_tick, "the topics do not balance"),
    (lose_a_bar, "a window without a bar"),
    (invent_a_bar, "a bar without a window"),
    (repeat_a_bar, "published twice"),
    (repeat_a_bar_differently, "published twice with different values"),
    (change_a_price, "a wrong bar"),
    (swap_bars, "the reference gives other bars"),
    (count_wrong, "the worker has other counts"),
    (close_by_a_tick_too_early, "a tick closed a window before its end had passed"),
    (close_by_another_scope, "closed by a record that closes nothing"),
    (close_before_the_last_tick, "closed before its last tick"),
    (close_although_a_record_was_there, "closed by the timer although the next record was in the log"),
)
OF_CREATE_TIME: Iterable[tuple[Callable[[World], None], str]] = (
    (close_before_it_is_due, "an idle close that no rule permits"),
    (close_an_end_without_a_window, "an idle close that no rule permits"),
    (close_before_the_record_that_closes_arrived, "closed before the arrival of the record that closed it"),
)


@pytest.mark.parametrize("append_time", [True, False], ids=["append", "create"])
@pytest.mark.parametrize(("spoil", "violation"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_a_broken_rule_is_a_violation_on_either_kind_of_topic(
    spoil: Callable[[World], None],
    violation: str,
    append_time: bool,  # noqa: FBT001  # a table
) -> None:
    made = world()
    made.append_time = append_time
    spoil(made)
    assert violation in kinds_of(made.verdict())


@pytest.mark.parametrize(("spoil", "violation"), OF_CREATE_TIME, ids=lambda case: getattr(case, "__name__", None))
def test_a_broken_rule_of_create_time_is_a_violation(spoil: Callable[[World], None], violation: str) -> None:
    made = world()
    made.append_time = False
    spoil(made)
    assert violation in kinds_of(made.verdict())


def test_where_even_arrivals_are_unknown_a_late_tick_needs_a_reason() -> None:
    made = world()
    made.append_time, made.faults = False, [fault(Kind.broker_clock)]
    first = next(seen for seen in made.ticks if made.sent.records[int(seen.headers[SERIAL])].label is Label.tick)
    key = f"ticks|{first.partition}|{first.offset}".encode()
    made.late.append(Seen(first.partition, 10_000, 0, key, first.value, {"reason": b"late"}))
    assert "late, but its window was open" in kinds_of(made.verdict())
