"""The simulation fails when recovery takes up something else than what was kept: each part of it is changed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agents.side_outputs import SideOutputs
from agents.task import PartitionTask
from app.settings.types import ScopeKind
from tables import checkpoint_plan, snapshots
from tables.bars import Bar
from tables.engine import Engine
from tables.open_windows import OpenWindows
from tables.records import SideRecord
from tables.scopes import Scope, Symbol
from tables.state import CUT_AT_NEXT, NO_CUT, Counters, SymbolState
from tables.window import Window
from tests.simulation.judge import judge
from tests.simulation.partition import run
from tests.simulation.steps import NEXT_WINDOW, STATES_LOST, TICK, Step

LATER: Step = ("tick", 66_000, 0, 0, "bad")  # idling has closed what was open, and nothing else happens
STALE: Step = ("tick", 66_000, 0, 61_000, "tick")  # late, as idling has closed its window
CHECKED: list[Step] = [TICK, ("read", 1), ("checkpoint", None)]
Found = dict[str, Any]  # what recovery gives the engine
original_restore = Engine.restore
original_checkpoint = PartitionTask._make_checkpoint


def restored(change: Callable[[Found], Found]) -> tuple[type, str, Callable[..., None]]:
    """A recovery that gives the engine something else than what was kept."""

    def restore(self: Engine, *kept: Any, **more: Any) -> None:
        found: Found = dict(zip(("counters", "arrival", "stream_times", "states", "tail", "cut", "cuts"), kept, strict=True))
        original_restore(self, **(found | change(found)), **more)

    return Engine, "restore", restore


def tail_with(**other: Callable[[Bar, Found], Any]) -> Callable[[Found], Found]:
    def change(found: Found) -> Found:
        tail = [msgspec.structs.replace(bar, **{name: of(bar, found) for name, of in other.items()}) for bar in found["tail"]]
        return {"tail": tail}

    return change


def set_with_the_position(found: Found) -> Found:
    for key, state in found["states"].items():
        if snapshots.is_scope(key):
            state.advanced_at = found["arrival"]
    return {}


def opened_at_no_time(found: Found) -> Found:
    for state in found["states"].values():
        for window in state.windows:
            window.opened_at = 0
    return {}


def without_clocks(found: Found) -> Found:
    return {"states": {key: SymbolState(state.windows) for key, state in found["states"].items()}}


async def too_early(self: PartitionTask) -> int | None:
    """A checkpoint before the tail has been passed."""
    replay, self.engine._replay = self.engine._replay, None
    made = await original_checkpoint(self)
    self.engine._replay = replay
    return made


def without_scopes(self: OpenWindows) -> tuple[list[Symbol], list[Scope]]:
    """A checkpoint without the clocks."""
    return original_take_changed(self)[0], []


def not_marked(self: OpenWindows, scope: Scope) -> None:
    """Only ticks move a stored clock."""


def forgotten(self: OpenWindows, symbol: Symbol) -> None:
    """A symbol without open windows leaves nothing behind."""
    del self.symbols[symbol.key]


def without_number(self: OpenWindows, symbol: Symbol) -> None:
    """It is not known where its clock was written."""
    original_let_go(self, symbol)
    self.resting[symbol.key].written = 0


def first_record_only(self: snapshots.Snapshots, key: bytes, state: SymbolState, _: list[Window]) -> None:
    """A state in several records is read as one in one."""
    original_restore_symbol(self, key, state, state.windows)


original_take_changed = OpenWindows.take_changed
original_let_go = OpenWindows.let_go
original_restore_symbol = snapshots.Snapshots._restore_symbol
LET_GO: list[Step] = [*CHECKED, LATER, LATER, LATER, ("read", 3), ("checkpoint", None)]
LONG_CLOSED: Step = ("tick", 0, 0, 3 * 66_000, "tick")
OTHERS_TRADE: list[Step] = [("tick", 0, 2, 0, "tick"), ("read", 1), ("checkpoint", None)] * 3
BOTH_SILENT: list[Step] = [
    *(TICK, ("tick", 0, 1, 0, "tick"), ("read", 2), ("checkpoint", None), LATER, ("read", 1)),
    *(("checkpoint", None), ("crash",)),  # it writes one clock again, whether that moved or not
]
TWO_OPEN: list[Step] = [TICK, ("tick", 62_000, 0, 0, "tick"), ("read", 2), ("checkpoint", None), ("crash",)]


async def send_nothing(self: SideOutputs, producer: Any, side: list[SideRecord]) -> None:
    """A checkpoint without the late and the rejected records."""


@pytest.mark.parametrize(
    ("scope", "broken", "steps"),
    [
        (ScopeKind.BROKER, restored(lambda _: {"counters": Counters()}), STATES_LOST),
        (
            ScopeKind.BROKER,
            restored(set_with_the_position),
            [TICK, ("tick", 4_999, 0, 0, "bad"), ("read", 2), ("checkpoint", None), ("crash",)],
        ),
        (
            ScopeKind.BROKER,
            restored(opened_at_no_time),
            [TICK, ("tick", 300, 2, 800, "tick"), ("read", 2), ("checkpoint", None), ("crash",)],
        ),
        (
            ScopeKind.BROKER,
            restored(tail_with(closed_at=lambda _, found: found["arrival"])),
            [*CHECKED, LATER, ("read", 1), ("deliver", 1), ("crash",), ("tick", 4_999, 0, 9_000, "tick")],
        ),
        (
            ScopeKind.BROKER,
            restored(tail_with(close_reason=lambda *_: "watermark")),
            [
                TICK,
                ("tick", 0, 2, 0, "tick"),
                ("read", 2),
                ("checkpoint", None),
                LATER,
                ("read", 1),
                ("deliver", 1),
                ("crash",),
            ],
        ),
        (
            ScopeKind.BROKER,
            restored(tail_with(closed_at_offset=lambda bar, _: bar.closed_at_offset + 1)),
            [*CHECKED, STALE, ("read", 1), ("deliver", 1), ("crash",)],
        ),
        (ScopeKind.SYMBOL, restored(without_clocks), [*CHECKED, ("crash",), STALE]),
        (
            ScopeKind.BROKER,
            (PartitionTask, "_make_checkpoint", too_early),
            [
                *(*CHECKED, ("tick", 0, 0, 0, "bad"), STALE, ("read", 2), ("deliver", 1)),
                *(("crash",), ("checkpoint", None), ("crash",)),
            ],
        ),
        (ScopeKind.BROKER, (SideOutputs, "send", send_nothing), [("tick", 0, 0, 0, "bad"), ("read", 1)]),
        (ScopeKind.BROKER, restored(lambda _: {"cut": NO_CUT}), CHECKED),
        (ScopeKind.BROKER, restored(lambda _: {"cut": CUT_AT_NEXT}), [*CHECKED, ("crash",), NEXT_WINDOW, NEXT_WINDOW]),
        (ScopeKind.BROKER, (checkpoint_plan.CheckpointPlan, "live_from", property(lambda self: self.end)), STATES_LOST),
        (ScopeKind.BROKER, (OpenWindows, "take_changed", without_scopes), STATES_LOST),
        (ScopeKind.BROKER, (OpenWindows, "mark_moved", not_marked), BOTH_SILENT),
        (ScopeKind.SYMBOL, (OpenWindows, "let_go", forgotten), [*LET_GO, LONG_CLOSED]),
        (ScopeKind.SYMBOL, (OpenWindows, "let_go", without_number), [*LET_GO, *OTHERS_TRADE, ("crash",), LONG_CLOSED]),
        (ScopeKind.BROKER, (snapshots.Snapshots, "_restore_symbol", first_record_only), TWO_OPEN),
    ],
    ids=[
        "counters are not kept",
        "stream times are kept without the arrivals that set them",
        "windows are kept without the arrival of the tick that opened them",
        "a bar of the tail raises stream time as of another moment than its own",
        "what a raise closes does not take the reason of the bar",
        "a bar of the tail raises stream time after the record",
        "a symbol's state is kept without its clock",
        "a checkpoint is made before the tail has been passed",
        "late and rejected records are not sent",
        "the cut is not kept",
        "each start cuts anew",
        "reading begins behind live states",
        "scopes are not written",
        "what silence closed does not move a stored clock",
        "a symbol that is let go loses its clock",
        "a symbol that is let go is not written again",
        "only the first record of a state is read",
    ],
)
def test_the_simulation_fails_when_recovery_takes_up_something_else(
    monkeypatch: pytest.MonkeyPatch, scope: ScopeKind, broken: tuple[type, str, Any], steps: list[Step]
) -> None:
    monkeypatch.setattr(checkpoint_plan, "SPARE", 0)
    monkeypatch.setattr(snapshots, "WINDOWS_PER_RECORD", 1)
    judge(asyncio.run(run(steps, scope, deleted=2)))
    monkeypatch.setattr(*broken)
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, scope, deleted=2)))
