"""Corrections and longer frames inside checkpoints and recovery: crashes after any record leave what no crash at all leaves.

The simulation is that of `tests.simulation`, with late ticks that are revised and frames of a few minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec import UnsetType

from agents import engines, published, recovery
from agents.beyond import BeyondOutputs
from app.errors import StateError
from app.settings.types import Delivery, OnGap, ScopeKind
from tables import checkpoint_plan, kept, snapshots
from tables.after_close import AfterClose
from tables.calendar import Calendar
from tables.corrections import Corrections
from tables.further import Item, Revision, is_longer
from tables.kept import KeptWindows
from tables.longer import Evidence, LongerWindows
from tables.open_windows import OpenWindows
from tables.scopes import Bucket, Scope
from tables.silence import Silence
from tables.snapshots import Published, Snapshots
from tables.state import POSITION_KEY, Position, decode_position
from tests.simulation.judge import judge
from tests.simulation.partition import Simulation, run
from tests.simulation.steps import NEXT_WINDOW, STEPS, TICK, Step
from tests.support.examples import examples

EXAMPLES = examples(check=25, full=50, thorough=5_000)
LATE_TICKS = st.tuples(
    st.just("tick"),
    st.sampled_from([0, 1, 4_999, 5_000, 30_000, 66_000]),
    st.integers(0, 5),
    st.sampled_from([9_000, 61_000, 122_000, 200_000, 500_000]),
    st.just("tick"),
)
REVISIONS = st.builds(
    lambda late, then: [TICK, NEXT_WINDOW, *late, ("read", 9), *then],
    st.lists(LATE_TICKS, max_size=3),
    st.lists(STEPS, max_size=2),
)
BOTH: dict[str, Any] = {"late_policy": "correct", "correction_horizon": "4m", "frames": "2m,3m,6m"}
FLAT: dict[str, Any] = BOTH | {"empty": "flat", "empty_frames": "base,2m,6m"}
OTHERS = st.sampled_from(
    [
        *(BOTH, BOTH, BOTH | {"correction_delay": "0ms"}, BOTH | {"correction_delay": "70s", "day_start": "22:17"}),
        *({"late_policy": "correct"}, {"frames": "2m,6m,1d"}, FLAT, FLAT | {"day_start": "22:17"}, BOTH | {"empty": "flat"}),
    ]
)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("scope", list(ScopeKind))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.one_of(STEPS.map(lambda step: [step]), LATE_TICKS.map(lambda step: [step]), REVISIONS), max_size=40).map(
        lambda parts: [step for part in parts for step in part]
    ),
    spare=st.sampled_from([checkpoint_plan.SPARE, 0]),
    others=OTHERS,
    native=st.sampled_from(["auto", "off"]),
    far=st.sampled_from([kept.FAR_BACK, -1_000_000]),
)
def test_a_crash_after_any_record_leaves_the_same_longer_and_revised_bars_as_no_crash_at_all(
    scope: ScopeKind, delivery: Delivery, steps: list[Step], spare: int, others: dict[str, Any], native: str, far: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_plan, "SPARE", spare)
        patch.setattr(snapshots, "WINDOWS_PER_RECORD", 1)
        patch.setattr(kept, "FAR_BACK", far)  # below 0: every checkpoint gives closed windows records of their own
        simulation = asyncio.run(run(steps, scope, delivery, **others, native=native))
        judge(simulation)
    for topic in simulation.settings.beyond_topics:
        event(f"{topic}: {bool(simulation.topics.committed(topic))}")


LATE: Step = ("tick", 0, 0, 66_000, "tick")  # of the first window, right after the tick that closed it
SOON: Step = ("tick", 30_000, 0, 0, "tick")
CLOSED: list[Step] = [TICK, NEXT_WINDOW, ("read", 2), ("checkpoint", None)]
IS_DUE: list[Step] = [TICK, NEXT_WINDOW, LATE, ("read", 3), ("checkpoint", None), ("crash",), SOON]
IN_THE_TAIL: list[Step] = [TICK, ("read", 1), ("checkpoint", None), NEXT_WINDOW, ("read", 1), ("deliver", 1), ("crash",), LATE]
REVISED: list[Step] = [
    *(TICK, NEXT_WINDOW, LATE, SOON, ("read", 4), ("checkpoint", None), ("crash",)),
    *(("tick", 0, 0, 96_000, "tick"), SOON),
]
LONG_AFTER: list[Step] = [*CLOSED, *[SOON, ("read", 1), ("checkpoint", None)] * 3, ("crash",), ("tick", 0, 0, 156_000, "tick")]
ALONE: list[Step] = [  # silence has closed a longer window alone, and so its last minute; a bar of later is published
    *(TICK, ("read", 1), ("checkpoint", None), ("tick", 130_000, 0, 40_000, "tick"), ("tick", 1_000, 2, 0, "tick")),
    *(("tick", 66_000, 2, 0, "tick"), ("read", 3), ("deliver", 9), ("crash",)),
]


RESTED: list[
    Step
] = [  # after a restart silence closes the longer windows of a symbol that has no open one, then it trades again
    *(("tick", 5_000, 2, 200_000, "tick"), ("read", 6), ("tick", 66_000, 4, 61_000, "tick")),
    *(("tick", 66_000, 2, 500_000, "tick"), ("checkpoint", None, 1), ("crash",), ("crash",)),
]


@pytest.mark.parametrize("delivery", list(Delivery))
def test_silence_that_closes_longer_windows_of_a_symbol_at_rest_moves_its_clock_for_good(delivery: Delivery) -> None:
    judge(asyncio.run(run(RESTED, ScopeKind.SYMBOL, delivery, **BOTH)))


async def nothing_published(*_: Any) -> list[Published]:
    """Recovery does not look at the headers of bars."""
    return []


async def finals_only(*where: Any) -> list[Published]:
    return [one for one in await original_read(*where) if not one.revision]


def only_new(self: OpenWindows, scope: Scope, bucket: Bucket, evidence: Evidence) -> None:
    """What was published before the crash is not looked at again."""
    after = self.after
    if self.published:
        self.after = None
    original_close(self, scope, bucket, evidence)
    self.after = after


def record_of(is_kind: Callable[[Item], bool]) -> Callable[[AfterClose, Item], bytes | None]:
    """Records of one kind are not written."""
    return lambda self, item: None if is_kind(item) else original_record(self, item)


original_read, original_record = published.read_published, AfterClose.record_of
original_close = OpenWindows._close_bucket


@pytest.mark.parametrize(
    ("owner", "name", "broken", "steps"),
    [
        (AfterClose, "record_of", record_of(lambda item: isinstance(item, Revision)), IS_DUE),
        (AfterClose, "record_of", record_of(is_longer), [*CLOSED, ("crash",)]),
        (OpenWindows, "_close_bucket", only_new, IN_THE_TAIL),
        (recovery, "read_published", nothing_published, [*CLOSED, ("crash",), LATE]),
        (recovery, "read_published", finals_only, REVISED),
        (KeptWindows, "horizon_begins", None, LONG_AFTER),
        (Corrections, "restore_revisions", lambda *_: None, IS_DUE),
        (LongerWindows, "restore", lambda *_: None, [*CLOSED, ("crash",)]),
        (Silence, "pass_within_tail", lambda *_: None, ALONE),
        (BeyondOutputs, "take", lambda _: [], [TICK]),
        (Snapshots, "take_further", lambda _: [], IS_DUE),
    ],
    ids=[
        "revisions that are due are not stored",
        "open longer windows are not stored",
        "what closes in a replay is lost for longer windows",
        "windows that can be corrected are not read again",
        "revisions are not read again",
        "reading begins behind windows that can be corrected",
        "revisions that were due are forgotten",
        "open longer windows are not restored",
        "longer windows that silence closed alone stay open in a replay",
        "longer bars are not sent",
        "nothing beside the open windows is stored",
    ],
)
def test_the_simulation_fails_when_a_rule_of_longer_or_revised_bars_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, steps: list[Step]
) -> None:
    judge(asyncio.run(run(steps, ScopeKind.BROKER, **BOTH, native="off")))  # what is broken here is in Python
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises((AssertionError, IndexError)):
        judge(asyncio.run(run(steps, ScopeKind.BROKER, **BOTH, native="off")))


@pytest.mark.parametrize("delivery", list(Delivery))
def test_the_base_finals_of_a_log_are_the_same_bytes_with_and_without_corrections(delivery: Delivery) -> None:
    found = []
    every: list[dict[str, Any]] = [{}, {"late_policy": "correct"}]
    for others in every:
        simulation = asyncio.run(run(REVISED, ScopeKind.BROKER, delivery, **others))
        rows = simulation.topics.committed(simulation.settings.finals_topic)
        found.append([(row.key, row.value, row.timestamp) for row in rows])
    assert found[0] == found[1]


def stored_position(simulation: Simulation) -> Position:
    rows = simulation.topics.committed(simulation.settings.changelog_topic)
    return decode_position(next(row.value or b"" for row in reversed(rows) if row.key == POSITION_KEY))


@pytest.mark.parametrize("scope", list(ScopeKind))
def test_windows_whose_bars_lie_far_back_do_not_make_recovery_read_them(
    monkeypatch: pytest.MonkeyPatch, scope: ScopeKind
) -> None:
    monkeypatch.setattr(kept, "FAR_BACK", -1_000_000)
    simulation = asyncio.run(run(LONG_AFTER, scope, **BOTH))
    judge(simulation)
    position = stored_position(simulation)
    assert not isinstance(position.ends, UnsetType)
    assert position.horizon == {simulation.settings.finals_topic: position.finals_end, **position.ends}


@pytest.mark.parametrize(
    ("name", "broken"),
    [("_settle", lambda *_: None), ("restore", lambda *_: None), ("states_of", lambda *_: iter(()))],
    ids=["their records are not written", "they are not restored", "their records are empty"],
)
def test_the_simulation_fails_when_windows_whose_bars_lie_far_back_are_lost(
    monkeypatch: pytest.MonkeyPatch, name: str, broken: Any
) -> None:
    monkeypatch.setattr(kept, "FAR_BACK", -1_000_000)
    steps: list[Step] = [*LONG_AFTER, SOON, ("read", 9), ("checkpoint", None), ("crash",), ("tick", 0, 0, 186_000, "tick")]
    judge(asyncio.run(run(steps, ScopeKind.BROKER, **BOTH)))
    monkeypatch.setattr(KeptWindows, name, broken)
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, ScopeKind.BROKER, **BOTH)))


def test_a_time_zone_database_that_moves_a_bound_of_an_open_window_stops_the_start_and_another_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent, **BOTH)
        await simulation.restart()
        for step in (TICK, NEXT_WINDOW):
            simulation.tick(*step[1:])
        await simulation.read(2)
        await simulation.checkpoint(None)
        monkeypatch.setattr(engines, "tz_version", lambda: "2099z")
        await simulation.restart()
        await simulation.checkpoint(None)
        assert stored_position(simulation).tz == "2099z"
        monkeypatch.setattr(Calendar, "window", lambda *of: (of[-1] - of[-1] % 60_000, of[-1] - of[-1] % 60_000 + 60_000))
        with pytest.raises(StateError, match=r"was written with the time zone database 2099z.* the 2m window \[\d+, \d+\) is"):
            await simulation.restart()

    asyncio.run(check())


def test_a_topic_of_revisions_that_was_made_anew_stops_the_start_or_is_gone_on_from() -> None:
    async def check() -> None:
        simulation = await run(REVISED, ScopeKind.BROKER, **BOTH)
        topic = simulation.settings.corrections_topic_of("")
        del simulation.topics.rows[topic][:]
        simulation.settings = simulation.settings.model_copy(update={"on_gap": OnGap.stop})
        with pytest.raises(StateError, match=rf"{topic}\[0\] ends at offset 0 and had bars of this app up to \d+"):
            await simulation.restart()
        simulation.settings = simulation.settings.model_copy(update={"on_gap": OnGap.keep_going})
        await simulation.restart()

    asyncio.run(check())


def test_a_marker_is_written_when_a_revision_is_due() -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent, late_policy="correct", correction_delay="70s")
        await simulation.restart()
        for step in (TICK, NEXT_WINDOW, LATE):
            simulation.tick(*step[1:])
        await simulation.read(3)
        engine = simulation.partition.engine
        engine.advance_arrival(simulation.now + 69_000)
        assert engine.open_windows == 0
        assert not engine.any_due(simulation.now + 70_000)
        assert engine.any_due(simulation.now + 70_001)

    asyncio.run(check())
