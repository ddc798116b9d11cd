"""Settings at their ends: the same bars through crashes, and none that is lost or comes too early."""

from __future__ import annotations

import asyncio

import pytest

from app.settings.types import Delivery, ScopeKind
from tests.simulation.judge import judge
from tests.simulation.partition import Simulation, follow
from tests.simulation.steps import Step

STEPS: list[Step] = [
    *(("tick", 0, 0, 0, "tick"), ("tick", 1, 0, 0, "tick"), ("tick", 300, 2, 800, "tick"), ("read", 2), ("checkpoint", None)),
    *(("timer",), ("tick", 1, 1, 0, "tick"), ("read", 2), ("crash",), ("timer",), ("tick", 66_000, 0, 9_000, "tick")),
    *(("tick", 0, 4, 0, "beat"), ("read", 1), ("takeover",), ("wake_up", 2), ("checkpoint", 3), ("tick", 1, 0, 0, "tick")),
]


@pytest.mark.parametrize(
    "extreme",
    [
        {"window_size": "1ms", "grace": "0s"},
        {"window_size": "1ms", "grace": "1h"},
        {"window_size": "1s", "grace": "0s", "wheel_tick": "10ms", "checkpoint_interval": "1ms"},
        {"window_size": "7m", "grace": "1ms", "wheel_tick": "10s"},
        {"window_size": "1d"},
        {"window_size": "400d"},
        {"window_size": "100000000d"},
        {"grace": "3650d"},
        {"idle_close": "off", "window_size": "1s"},
    ],
    ids=lambda extreme: " ".join(f"{name}={value}" for name, value in extreme.items()),
)
@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("scope", list(ScopeKind))
def test_settings_at_their_ends_keep_the_promise(scope: ScopeKind, delivery: Delivery, extreme: dict[str, str]) -> None:
    async def check() -> None:
        simulation = Simulation(scope, delivery, 0, **extreme)
        await follow(simulation, STEPS)
        judge(simulation)

    asyncio.run(check())
