"""The engine inside its checkpoints and recovery, without sockets: a log in memory, and a crash after any record.

What runs is the worker's own code (`PartitionTask`, `recover`); only the topics are lists. The bars, their evidence and their
order, and the late ticks, must be those of an engine that never stopped. A former owner may wake up beside its successor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import checkpoints
from app.kafka import clock
from app.kafka.batches import Outgoing
from app.kafka.clock import BrokerClock
from app.kafka.producers import Sent
from app.settings.types import Delivery, ScopeKind
from tables import checkpoint_plan, rules, snapshots
from tables.bars import Bar
from tables.engine import Engine
from tables.idle import IdleScheduler
from tables.open_windows import OpenWindows
from tables.replay import Replay
from tables.silence import Silence
from tests.simulation.judge import judge
from tests.simulation.partition import run
from tests.simulation.steps import EXAMPLES, NEXT_WINDOW, STATES_LOST, STEPS, TICK, Step
from tests.simulation.topics import (
    Checkpoints,
)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("scope", list(ScopeKind))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEPS, max_size=60),
    spare=st.sampled_from([checkpoint_plan.SPARE, 0]),
    deleted=st.sampled_from([0, 0, 2]),
    windows=st.sampled_from([snapshots.WINDOWS_PER_RECORD, 1]),
)
def test_a_crash_after_any_record_leaves_the_same_bars_as_no_crash_at_all(
    scope: ScopeKind, delivery: Delivery, steps: list[Step], spare: int, deleted: int, windows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_plan, "SPARE", spare)  # 0: symbols are let go as soon as they can be
        patch.setattr(snapshots, "WINDOWS_PER_RECORD", windows)  # 1: every second window has a record of its own
        judge(asyncio.run(run(steps, scope, delivery, deleted)))


TAIL_IGNORED: list[Step] = [
    TICK,
    ("read", 1),
    ("checkpoint", None),
    NEXT_WINDOW,
    ("read", 1),
    ("deliver", 1),
    ("crash",),
]
TORN: list[Step] = [TICK, ("read", 1), ("checkpoint", 1), NEXT_WINDOW]
OVERWRITTEN: list[Step] = [
    *(TICK, ("read", 1), ("takeover",)),
    *(TICK, ("read", 2), ("checkpoint", None), ("wake_up", 0), ("crash",), NEXT_WINDOW),
]


POSITION_FIRST: list[Step] = [  # of four bars the last one does not arrive
    *(TICK, ("tick", 0, 2, 0, "tick"), ("tick", 0, 4, 0, "tick"), ("tick", 62_000, 0, 0, "tick"), NEXT_WINDOW),
    *(("read", 5), ("checkpoint", 7), ("crash",)),
]
TOO_EARLY: list[Step] = [
    *(TICK, ("read", 1), ("checkpoint", None), TICK, NEXT_WINDOW, ("read", 2), ("deliver", 1), ("crash",)),
    *(("read", 1), ("checkpoint", None), ("crash",)),
]
LATE_ONCE: list[Step] = [  # a tick that was late, as silence had closed its window
    *(TICK, ("read", 1), ("checkpoint", None), ("tick", 66_000, 1, 0, "tick"), ("timer",), ("deliver", 3)),
    *(("tick", 0, 0, 66_000, "tick"), ("read", 1), ("crash",)),
]


async def write_nothing(self: checkpoints.Checkpoints) -> list[Outgoing]:
    """A checkpoint without its states."""
    list(self._plan.round())  # the plan goes on as if they had been written
    return []


def without_tail(
    self: Replay, tail: Sequence[Bar], windows: OpenWindows, scheduler: IdleScheduler, cuts: Sequence[int]
) -> None:
    """A recovery that does not look at what was published."""
    original_replay(self, (), windows, scheduler, cuts)


def not_atomic(self: Checkpoints, topic: str, record: Outgoing, transaction: int) -> int:
    """States without their position, where a worker crashes in between."""
    return self._wire.topics.append(topic, record)


def never_fenced(self: Checkpoints) -> bool:
    """A former owner may go on writing."""
    return False


async def without_waiting(sent: Iterable[Sent]) -> None:
    """The position is on its way before the finals have arrived."""


def not_raised(self: Replay, offset: int, _: Any = None) -> None:
    """Stream time is not raised where the published bars say."""
    while self._pending and self._pending[0].closed_at_offset <= offset:
        self._pending.popleft()


original_replay = Replay.__init__
AHEAD: list[Step] = [("tick", 0, 0, -50_000, "tick"), ("tick", 15_000, 0, -50_000, "tick"), ("read", 2)]
CLOCK_WRONG: list[Step] = [  # the clock is put right between two checkpoints
    *(("clock", 86_400_000, 0), ("tick", 0, 2, 0, "tick"), ("tick", 0, 4, 0, "tick"), ("read", 3), ("checkpoint", None)),
    *(("clock", 0, 0), ("read", 1), ("checkpoint", None), ("crash",)),
]
AHEAD_FOR_LONG: list[Step] = [("clock", 2 * 86_400_000, 0), ("read", 1), ("clock", 0, 2)]
SET_BACK: list[Step] = [  # the timer runs after the broker's clock was put right
    *(("clock", 86_400_000, 0), ("read", 1), ("checkpoint", None), ("clock", 0, 2), ("timer",), ("tick", 1, 2, 0, "tick")),
]


WORKER_AHEAD: list[Step] = [TICK, ("worker_clock", 86_400_000), ("timer",), TICK]


def of_the_worker(self: BrokerClock, steady: int) -> int:
    """The timer goes by the wall clock of the worker's machine."""
    return clock.now_ms() - self.steady() + steady


def not_forgotten(self: BrokerClock) -> None:
    """The timer goes on with the time that a wrong clock gave."""


def as_it_is(ms: int, _: int) -> int:
    """Stream time follows every clock."""
    return ms


def unwritten(self: OpenWindows, arrival: int) -> None:
    """The windows' stored states keep the times of the clock that was wrong."""
    original_step_back(self, arrival)
    self.changed.clear()


original_step_back = OpenWindows.step_back


@pytest.mark.parametrize(
    ("owner", "name", "broken", "steps"),
    [
        (checkpoints.Checkpoints, "_encode_states", write_nothing, STATES_LOST),
        (Replay, "__init__", without_tail, TAIL_IGNORED),
        (Checkpoints, "_arrive", not_atomic, TORN),
        (Checkpoints, "fenced", never_fenced, OVERWRITTEN),
        (checkpoints, "acknowledged", without_waiting, POSITION_FIRST),
        (Engine, "replaying", False, TOO_EARLY),
        (Replay, "advance_to", not_raised, LATE_ONCE),
        (rules, "min", as_it_is, AHEAD),
        (OpenWindows, "step_back", unwritten, CLOCK_WRONG),
        (BrokerClock, "forget", not_forgotten, SET_BACK),
        (Silence, "step_back", lambda *_: None, AHEAD_FOR_LONG),
        (BrokerClock, "at", of_the_worker, WORKER_AHEAD),
    ],
    ids=[
        "states are not written",
        "the tail is ignored",
        "checkpoints are not atomic",
        "former owners are not fenced",
        "finals are not waited for",
        "checkpoints are made within the tail",
        "the tail does not raise stream time",
        "stream time follows a clock that is ahead",
        "a clock that was wrong stays in the stored states",
        "the timer goes on with a clock that was wrong",
        "arrival time stays where a clock that was wrong took it",
        "the timer goes by the worker's clock",
    ],
)
def test_the_simulation_fails_when_a_rule_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, steps: list[Step]
) -> None:
    judge(asyncio.run(run(steps, ScopeKind.BROKER)))
    monkeypatch.setattr(owner, name, broken, raising=name != "min")  # a builtin
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, ScopeKind.BROKER)))
