"""Bars that may lack ticks are marked: reading began inside their window, or records were lost. All others look as before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.settings.types import Delivery, ScopeKind, Start
from tables.bars import decode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tables.scopes import NEVER, UNKNOWN
from tables.state import CUT_AT_NEXT, NO_CUT, Counters, Identity
from tests.simulation.partition import Simulation
from tests.simulation.steps import NEXT_WINDOW, TICK
from tests.simulation.topics import START
from tests.support.reference import Entry
from tests.unit.model import take_finals, wire
from tests.unit.test_gaps import ANEW, THEN, after, anew_and_longer, restart

MINUTE = 60_000


def published(simulation: Simulation) -> list[tuple[int, bool]]:
    """Which window each bar is of, counted from the first, and whether it is marked."""
    rows = simulation.topics.committed(simulation.settings.finals_topic)
    bars = [decode_bar(row.value or b"") for row in rows]
    for row, bar in zip(rows, bars, strict=True):
        assert (row.value or b"").endswith(b',"revision":0,"partial":true}' if bar.partial else b',"revision":0}')
    return [((bar.bucket_start - START) // MINUTE, bool(bar.partial)) for bar in bars]


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("stops", [False, True])
def test_a_start_in_the_middle_of_a_window_marks_its_bar_and_no_later_one(delivery: Delivery, *, stops: bool) -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, delivery)
        simulation.settings = simulation.settings.model_copy(update={"start": Start.latest})
        simulation.tick(*TICK[1:])
        await simulation.restart()
        assert simulation.read_to == 1, "the first tick is never read"
        simulation.tick(1_000, 0, 0, "tick")
        await simulation.read(1)
        if stops:
            await simulation.checkpoint(None)
            await simulation.restart()
        simulation.tick(*TICK[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.finish()
        assert published(simulation) == [(0, True), (1, False), (2, False)]

    asyncio.run(check())


@pytest.mark.parametrize("start", list(Start))
def test_a_topic_that_is_read_from_offset_0_has_whole_bars(start: Start) -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent)
        simulation.settings = simulation.settings.model_copy(update={"start": start})
        await simulation.restart()
        simulation.tick(*TICK[1:])
        await simulation.finish()
        assert published(simulation) == [(0, False)]

    asyncio.run(check())


def test_a_topic_whose_beginning_was_deleted_begins_with_marked_bars() -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent, deleted=3)
        await simulation.restart()
        simulation.tick(*TICK[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.finish()
        assert published(simulation) == [(0, True), (1, False)]

    asyncio.run(check())


def deleted_by_retention(simulation: Simulation) -> Identity:
    simulation.tick(*TICK[1:])
    simulation.topics.begins[simulation.settings.ticks_topic] = len(simulation.log)
    return THEN


def truncated(simulation: Simulation) -> Identity:
    del simulation.log[-1]
    return THEN


def created_again(simulation: Simulation) -> Identity:
    anew_and_longer(simulation)
    simulation.log.clear()
    return ANEW


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("lose", [deleted_by_retention, truncated, created_again])
@pytest.mark.parametrize("by_silence", [False, True])
def test_records_that_are_lost_mark_what_was_open_and_what_they_can_have_been_part_of(
    lose: Callable[[Simulation], Identity], delivery: Delivery, *, by_silence: bool
) -> None:
    async def check() -> None:
        simulation = await after(1, delivery=delivery)
        simulation.tick(*NEXT_WINDOW[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        simulation.tick(*TICK[1:])
        await simulation.read(3)
        await simulation.checkpoint(None)  # windows 0 and 1 are whole; 2 is open
        await restart(simulation, lose(simulation))
        if by_silence:
            simulation.now += 10 * MINUTE
            await simulation.timer()  # nothing came after the gap: what was open is marked all the same
        else:
            simulation.now += MINUTE  # to window 3
        simulation.tick(*TICK[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.finish()
        first = simulation.log[-2].timestamp - START
        assert published(simulation) == [
            *((0, False), (1, False), (2, True)),
            *((first // MINUTE, True), (first // MINUTE + 1, False)),
        ]

    asyncio.run(check())


def bars_of(*ticks: Entry, cut: int = CUT_AT_NEXT, silence: int | None = None) -> list[tuple[str, int, bool]]:
    engine = Engine(EngineConfig(), ticks[0].offset)
    engine.restore(Counters(), UNKNOWN, {}, {}, [], cut)
    engine.feed([wire(tick) for tick in ticks])
    engine.advance_arrival(ticks[-1].arrival + 10**9 if silence is None else silence)
    return [(bar.symbol, (bar.bucket_start - START) // MINUTE, bool(bar.partial)) for bar in take_finals(engine)]


def tick(offset: int, at: int, ahead: int = 0, broker: str = "A", symbol: str = "x") -> Entry:
    return Entry(offset, START + at, broker, symbol, START + at + ahead)


def test_the_first_record_of_any_kind_is_the_cut() -> None:
    bad = Entry(5, START + MINUTE - 1, ts=0, bad="json")
    marker = Entry(5, START + MINUTE - 1, marker=True)
    assert bars_of(bad, tick(6, MINUTE)) == bars_of(marker, tick(6, MINUTE)) == [("x", 1, False)]
    assert bars_of(tick(6, MINUTE)) == [("x", 1, True)], "a tick of the same millisecond may have been lost"


def test_a_clock_that_is_ahead_has_its_windows_marked_by_so_much_later() -> None:
    assert bars_of(tick(5, 50_000), tick(6, 51_000, 20_000, broker="B", symbol="ahead"), tick(7, 110_000)) == [
        ("x", 0, True),
        ("ahead", 1, True),  # it began at 40 s of the arrival clock
        ("x", 1, False),
    ]
    assert bars_of(tick(5, 30_000), tick(6, 41_000, 20_000, symbol="ahead")) == [("x", 0, True), ("ahead", 1, False)]


def test_a_cut_by_a_clock_that_was_wrong_is_left_behind_with_it() -> None:
    day = 86_400_000
    wrong = Entry(5, START + day, ts=START)
    ticks = [wrong, *(tick(6 + minute, minute * MINUTE) for minute in range(1, 4))]
    assert [marked for *_, marked in bars_of(*ticks)] == [True, True, False, False]


def test_a_clock_that_is_put_right_before_the_first_record_does_not_end_the_wait_for_the_cut() -> None:
    engine = Engine(EngineConfig(), 5)
    engine.restore(Counters(), START + 86_400_000, {}, {}, [], CUT_AT_NEXT)
    assert engine.leave_wrong_clock(START - MINUTE)
    assert engine.cut == CUT_AT_NEXT, "ticks that arrived since then may have been lost"
    engine.feed([wire(tick(5, 0))])
    assert engine.cut == START


def test_a_cut_that_does_not_exist_is_before_all_windows_and_one_to_come_after_them() -> None:
    assert (NO_CUT, CUT_AT_NEXT) == (UNKNOWN, NEVER)
    assert bars_of(tick(5, 0), cut=NO_CUT) == [("x", 0, False)]
