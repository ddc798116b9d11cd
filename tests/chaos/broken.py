"""A worker that breaks a rule of delivery, to test the judge: `python -m tests.chaos.broken RULE worker`.

This module patches the application, which has no setting for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from agents import task_creator
from agents.checkpoints import Checkpoints
from agents.recovery import recover
from app.cli import main
from tables.engine import Engine

HASTE_MS = 2_000


def without_states() -> None:
    """The position is written, the states before it are not: open windows lose what came before a crash."""

    async def nothing(self: Checkpoints) -> list[Any]:
        list(self._plan.round())  # the plan goes on as if they had been written
        return []

    setattr(Checkpoints, "_encode_states", nothing)  # noqa: B010  # as a patch, and not as an assignment that types forbid


def without_tail() -> None:
    """Recovery does not look at the bars that were published after the checkpoint."""

    async def forgetful(*args: Any) -> Any:
        found = await recover(*args)
        found.tail.clear()
        return found

    setattr(task_creator, "recover", forgetful)  # noqa: B010  # the same


def hasty_timer() -> None:
    """The timer says that time has passed which has not: windows close by silence that is none."""
    advance = Engine.advance_arrival

    def hasty(self: Engine, t: int) -> None:
        advance(self, t + HASTE_MS)

    setattr(Engine, "advance_arrival", hasty)  # noqa: B010  # the same


RULES: dict[str, Callable[[], None]] = {
    "without-states": without_states,
    "without-tail": without_tail,
    "hasty-timer": hasty_timer,
}

if __name__ == "__main__":
    RULES[sys.argv[1]]()
    main(sys.argv[2:])
