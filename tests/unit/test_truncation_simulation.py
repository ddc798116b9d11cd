"""The input loses records beyond some offset at any moment, and others are appended there: no tick is read twice or skipped.

An engine that read the log in one go is no measure here, as the worker has seen records that are gone. So each tick has a
quantity of its own, a power of two. A bar's volume then tells which ticks are in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import gaps, recovery
from agents.input_log import InputLog
from agents.recovery import Recovered
from app.kafka.records import NO_EPOCH
from app.kafka.slices import GapError
from app.settings.types import Delivery, ScopeKind
from tables.bar_formats.records import ClosedBar
from tables.bars import Bar, decode_bar
from tables.state import NO_CUT, POSITION_KEY, decode_position
from tests.simulation.partition import Simulation, follow
from tests.simulation.steps import EXAMPLES, NEXT_WINDOW, STEPS, TICK, Step
from tests.simulation.topics import ListReader, Row

MINUTE = 60_000


class Tick(NamedTuple):
    """A tick that was appended: its number is the place of its bit in volumes."""

    number: int
    symbol: str
    ts: int
    arrived: int


class TruncatedInput(Simulation):
    """A simulation whose input is truncated now and then. It keeps account of every tick."""

    def __init__(self, scope: ScopeKind, delivery: Delivery, deleted: int = 0, **others: str) -> None:
        super().__init__(scope, delivery, deleted, **others)
        self.ticks: list[Tick] = []
        self.seen: dict[int, Row] = {}  # by offset: the record that a worker read there last
        self.read_once: set[int] = set()  # ticks that a worker has read
        self.kept: set[int] = set()  # ticks below the position with which a worker started
        self.bars_before: int = 0  # bars that were published before the last start that found more records gone
        self.read_before: set[int] = set()  # ticks that had been read by then

    def more(self) -> str:
        return f',"qty":{1 << len(self.ticks)}'

    def tick(self, wait: int, name: int, lag: int, kind: str) -> None:
        super().tick(wait, name, lag, kind)
        row = self.log[-1]
        if kind == "tick":
            value = msgspec.json.decode(row.value or b"")
            self.ticks.append(Tick(len(self.ticks), (row.key or b"").decode(), value["ts"], row.timestamp))

    def truncate(self, count: int) -> None:
        """Another leader takes over, which lacks the last records."""
        self.topics.elect(self.settings.ticks_topic, max(self.first, len(self.log) - count))

    async def read(self, count: int) -> None:
        for row in self.log[self.read_to : self.read_to + count]:
            self.seen[row.offset] = row
        try:
            await super().read(count)
        except GapError:
            await self.restart()
        else:
            self.read_once |= {number for row in self.seen.values() for number in ticks_of(row)}

    async def watch(self) -> None:
        """The worker asks whether its log has what it read, as it does now and then and when a fetch was refused."""
        reader: Any = ListReader(self.topics)
        try:
            await self.partition.check_log(partial(reader.end_of_epoch, self.settings.ticks_topic))
        except GapError:
            await self.restart()

    async def timer(self) -> None:
        await self.watch()  # the fetches were refused when the leader changed
        await super().timer()

    async def restart(self) -> None:
        rows = self.topics.committed(self.settings.changelog_topic)
        positions = [row.value for row in rows if row.key == POSITION_KEY and row.value is not None]
        if positions:
            resume_at = decode_position(positions[-1]).resume_at
            self.kept |= {n for offset, row in self.seen.items() if offset < resume_at for n in ticks_of(row)}
        lost = self.lost
        await super().restart()
        if self.lost > lost:
            self.bars_before = len(self.topics.committed(self.settings.finals_topic))
            self.read_before = set(self.read_once)

    @property
    def lost(self) -> int:
        """How many records the worker says are gone."""
        return self.partition.engine.counters.lost if hasattr(self, "partition") else 0

    async def finish(self) -> None:
        await self.watch()
        for _ in range(2):  # a recovery goes on where the log was cut
            await self.read(len(self.log))
        assert self.read_to == len(self.log), "it recovers again and again"
        await super().finish()


def ticks_of(row: Row) -> list[int]:
    """The number of the tick that a record holds, if it is one."""
    if row.value is None or b'"qty":' not in row.value:
        return []
    return [bits(msgspec.json.decode(row.value)["qty"])[0]]


def bits(volume: int) -> list[int]:
    return [place for place in range(volume.bit_length()) if volume >> place & 1]


def counted(simulation: TruncatedInput) -> Iterator[tuple[Bar, list[Tick]]]:
    """The bars, and the ticks that are in each. Fails where a bar is not the fold of those."""
    every = simulation.ticks
    for row in simulation.topics.committed(simulation.settings.finals_topic):
        bar = decode_bar(row.value or b"")
        ticks = [every[number] for number in bits(int(bar.volume or 0))]
        assert len(ticks) == bar.ticks, "a tick was folded twice"
        assert {tick.symbol for tick in ticks} == {f"{bar.broker}|{bar.symbol}"}
        times = [tick.ts for tick in ticks]
        assert (bar.first_ts, bar.last_ts) == (min(times), max(times))
        assert bar.bucket_start <= min(times) <= max(times) < bar.bucket_end
        yield bar, ticks


def revisions(simulation: TruncatedInput) -> set[int]:
    """The late ticks of all revisions. Fails where one is counted twice."""
    config = simulation.settings
    if not config.corrects:
        return set()
    finals = {row.key: set(ticks_in(row)) for row in simulation.topics.committed(config.finals_topic)}
    late: set[int] = set()
    last: dict[bytes | None, set[int]] = {}
    for row in simulation.topics.committed(config.corrections_topic_of("")):
        bar, ticks = decode_bar(row.value or b""), set(ticks_in(row))
        assert bar.ticks == len(ticks), "a tick was folded twice"
        added = ticks - last.get(row.key, finals.get(row.key, set()))
        assert len(added) == bar.corrected, "a revision says another number of late ticks than it adds"
        assert not added & late, "a tick is in the revisions of two windows"
        late |= added
        gone = last.get(row.key, finals.get(row.key, set())) - ticks
        assert bar.partial or not gone or simulation.partition.engine.clock_steps, "a revision lacks ticks, and does not say so"
        last[row.key] = ticks
    return late


def ticks_in(row: Row) -> list[int]:
    """The numbers of the ticks in a bar."""
    return bits(int(decode_bar(row.value or b"").volume or 0))


def judge(simulation: TruncatedInput) -> None:
    """Each tick that was not lost with the log is in one bar, or was late or rejected; a bar that lacks some says so."""
    config, engine = simulation.settings, simulation.partition.engine
    bars = list(counted(simulation))
    keys = [(bar.broker, bar.symbol, bar.bucket_start) for bar, _ in bars]
    assert len(set(keys)) == len(keys), "a bar was published twice"
    in_bars = [tick.number for _, ticks in bars for tick in ticks]
    assert len(set(in_bars)) == len(in_bars), "a tick is in two bars"
    revised = revisions(simulation)
    assert not revised & set(in_bars), "a tick is in a bar, and in a revision as a late one"
    side = [row for topic in (config.late_topic, config.rejected_topic) for row in simulation.topics.committed(topic)]
    beside = {number for row in side for number in ticks_of(row)}
    assert not beside & (revised | set(in_bars)), "a tick was read twice: it is in a bar, and late"
    there = {number for row in simulation.log for number in ticks_of(row)}
    assert there | simulation.kept <= beside | revised | set(in_bars), "a tick is nowhere"
    assert engine.open_windows == 0
    assert not engine.replaying
    assert engine.counters.balanced()
    assert engine.next_offset == len(simulation.log)
    if config.delivery is Delivery.transactional:
        assert engine.counters.binned == len(in_bars)
    if engine.clock_steps:
        return
    assert all(bar.closed_at >= bar.bucket_end for bar, _ in bars)
    if not simulation.lost:
        return
    missing = [simulation.ticks[n] for n in simulation.read_before - set(in_bars) - beside]
    lacking = {(t.symbol, t.ts - t.ts % MINUTE) for t in missing if t.ts - t.ts % MINUTE <= t.arrived}
    for bar, _ in bars[simulation.bars_before :]:
        if (f"{bar.broker}|{bar.symbol}", bar.bucket_start) in lacking:
            assert bar.partial, "a bar lacks ticks that are gone, and does not say so"


async def run(
    steps: list[Step], scope: ScopeKind, delivery: Delivery = Delivery.idempotent, deleted: int = 0, **others: str
) -> TruncatedInput:
    simulation = TruncatedInput(scope, delivery, deleted, **others)
    await follow(simulation, steps)
    return simulation


OWNERS = ("takeover", "wake_up")  # what a former owner has read of records that are gone, it may publish
TICKS = st.tuples(
    st.just("tick"),
    st.sampled_from([0, 5_000, 66_000]),
    st.integers(0, 5),
    st.sampled_from([0, 9_000, 66_000]),
    st.just("tick"),
)
CUTS = st.tuples(st.just("truncate"), st.integers(0, 6))
ONE_STEP = st.one_of(STEPS.filter(lambda step: step[0] not in OWNERS), TICKS, CUTS, st.tuples(st.just("watch")))
BEHIND_PUBLISHED_BARS = st.builds(
    lambda before, cut, after: [*before, ("read", 9), ("deliver", 9), cut, *after, ("crash",)],
    st.lists(TICKS, min_size=3, max_size=6),
    CUTS,
    st.lists(TICKS, max_size=6),
)
TRUNCATED_STEPS = st.lists(st.one_of(ONE_STEP.map(lambda step: [step]), BEHIND_PUBLISHED_BARS), max_size=40).map(
    lambda parts: [step for part in parts for step in part]
)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("scope", list(ScopeKind))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=TRUNCATED_STEPS, deleted=st.sampled_from([0, 0, 2]))
def test_a_log_that_is_cut_at_any_moment_costs_no_other_ticks_than_those_that_are_gone(
    scope: ScopeKind, delivery: Delivery, steps: list[Step], deleted: int
) -> None:
    judge(asyncio.run(run(steps, scope, delivery, deleted)))


@pytest.mark.parametrize("delivery", list(Delivery))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=TRUNCATED_STEPS, scope=st.sampled_from(list(ScopeKind)))
def test_a_log_that_is_cut_at_any_moment_costs_no_other_ticks_of_revisions_either(
    delivery: Delivery, steps: list[Step], scope: ScopeKind
) -> None:
    judge(asyncio.run(run(steps, scope, delivery, late_policy="correct", frames="2m,6m")))


REVISED_AFTER_A_CUT: list[Step] = [  # a tick of a published bar is gone, and a late tick of the same window comes
    *(("tick", 0, 0, 0, "tick"), ("read", 1), ("checkpoint", None), ("tick", 0, 0, 0, "tick"), ("tick", 66_000, 0, 0, "tick")),
    *(("read", 2), ("deliver", 9), ("truncate", 2), ("crash",), ("tick", 0, 0, 66_000, "tick"), ("read", 3)),
    ("tick", 30_000, 0, 0, "tick"),
]


def test_a_revision_that_lacks_ticks_of_the_bar_before_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        simulation = asyncio.run(run(REVISED_AFTER_A_CUT, ScopeKind.BROKER, late_policy="correct"))
        judge(simulation)
        (revised,) = simulation.topics.committed(simulation.settings.corrections_topic_of(""))
        (final, *_) = simulation.topics.committed(simulation.settings.finals_topic)
        assert set(ticks_in(final)) - set(ticks_in(revised))

    check()
    monkeypatch.setattr(Recovered, "cuts", property(without_cuts, lambda *_: None))
    with pytest.raises(AssertionError, match="a revision lacks ticks, and does not say so"):
        check()


OTHER: Step = ("tick", 0, 2, 0, "tick")  # of another symbol than TICK
CHECKED: list[Step] = [TICK, OTHER, TICK, ("read", 3), ("checkpoint", None)]
CUT: list[Step] = [*CHECKED, ("truncate", 2), ("crash",), TICK, NEXT_WINDOW]
GROWN: list[Step] = [*CHECKED, ("truncate", 2), TICK, OTHER, TICK, ("crash",), NEXT_WINDOW]
GROWN_UNNOTICED: list[Step] = [*CHECKED, ("truncate", 2), TICK, OTHER, TICK, ("read", 3), NEXT_WINDOW]
BARS_SINCE: list[Step] = [  # bars of the second window have been published, and its ticks are gone
    *(TICK, ("read", 1), ("checkpoint", None), TICK, NEXT_WINDOW, OTHER, NEXT_WINDOW, ("read", 4), ("deliver", 9)),
    *(("truncate", 3), ("crash",), TICK, NEXT_WINDOW),
]
BARS_SINCE_AND_GROWN: list[Step] = [  # by a tick of the second window, which is late
    *(*BARS_SINCE[:-3], ("tick", 0, 0, 66_000, "tick"), TICK, TICK, ("crash",), NEXT_WINDOW),
]
CUT_BEFORE_REPLAY: list[Step] = [TICK, TICK, NEXT_WINDOW, ("read", 3), ("deliver", 9), ("crash",), ("truncate", 3)]
CUT_TWICE: list[Step] = [  # and the bars of each life were read in another leader epoch
    *(TICK, TICK, TICK, TICK, NEXT_WINDOW, ("read", 5), ("deliver", 9), ("truncate", 3), TICK, NEXT_WINDOW, ("crash",)),
    *(TICK, ("read", 9), ("deliver", 9), ("crash",)),
]

CUT_IN_TWO_WINDOWS: list[Step] = [  # each life publishes a bar, and loses ticks of the window after it
    *(TICK, TICK, NEXT_WINDOW, ("read", 9), ("deliver", 9), ("truncate", 2), ("crash",)),
    *(TICK, TICK, NEXT_WINDOW, ("read", 9), ("deliver", 9), ("truncate", 2), TICK, ("crash",)),
]


def goes_on_at_the_end(self: gaps.Log, offset: int) -> int | None:
    """What came instead of the records that are gone is not read."""
    return None if original_cut_below(self, offset) is None else self.end


async def without_epoch(_: Any, __: str, ___: int, log: gaps.Log, *____: Any) -> gaps.Log:
    """Where the leader epochs end is not asked."""
    return log


async def never_checked(*_: Any) -> None:
    """A running worker does not look where the leader epochs end."""


async def of_the_first(*tail: Any) -> list[tuple[Bar | ClosedBar, int]]:
    """All bars are taken to have been read in the leader epoch of the first one."""
    bars = await original_tail(*tail)
    return [(bar, bars[0][1]) for bar, _ in bars]


def without_cuts(self: Recovered) -> tuple[int, ...]:
    """Windows that lack ticks of the tail are taken to be whole."""
    return ()


def only_the_first(self: Recovered) -> tuple[int, ...]:
    """Where the log was truncated twice, the second place is not kept."""
    found: tuple[int, ...] = self.__dict__["found"]
    return found[:1]


def keep(self: Recovered, cuts: tuple[int, ...]) -> None:
    self.__dict__["found"] = cuts


original_tail = recovery._tail
original_cut_below = gaps.Log.cut_below


@pytest.mark.parametrize(
    ("owner", "name", "broken", "steps"),
    [
        (gaps.Log, "is_same", lambda *_: False, CUT),
        (gaps.Log, "cut_below", goes_on_at_the_end, GROWN),
        (recovery, "_with_epoch", without_epoch, GROWN),
        (InputLog, "check", never_checked, GROWN_UNNOTICED),
        (recovery, "_passed_at", lambda bar, _: bar, BARS_SINCE[:-1]),
        (recovery, "check_passed", lambda *_: None, BARS_SINCE[:-1]),
        (recovery, "leader_epoch_of", lambda _: NO_EPOCH, BARS_SINCE_AND_GROWN),
        (recovery, "CUT_AT_NEXT", NO_CUT, [*CHECKED, TICK, ("read", 1), ("truncate", 2), ("crash",), TICK, NEXT_WINDOW]),
        (Recovered, "cuts", property(without_cuts, lambda *_: None), BARS_SINCE),
        (Recovered, "cuts", property(only_the_first, keep), CUT_IN_TWO_WINDOWS),
        (Recovered, "tail_read", property(lambda _: (0, NO_EPOCH), lambda *_: None), CUT_BEFORE_REPLAY),
        (recovery, "_tail", of_the_first, CUT_TWICE),
    ],
    ids=[
        "a truncated log is taken for one made anew",
        "reading goes on at the end of a log that has grown again",
        "leader epochs are not compared at the start",
        "leader epochs are not compared while the worker runs",
        "the bars published since the checkpoint keep offsets that are gone",
        "the bars published since the checkpoint are not looked at",
        "bars do not say in which leader epoch they were read",
        "windows that were open at the cut are taken to be whole",
        "windows that lack ticks of the tail are taken to be whole",
        "of two places where the log was truncated, the second one is not kept",
        "a replay waits for records that are gone",
        "the bars since the checkpoint are taken to have been read in one leader epoch",
    ],
)
def test_the_simulation_fails_when_a_rule_for_truncated_logs_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, steps: list[Step]
) -> None:
    judge(asyncio.run(run(steps, ScopeKind.BROKER)))
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, ScopeKind.BROKER)))
