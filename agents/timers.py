"""The task that turns the wheels: it decides nothing, it only lets a decision show before the next record comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import faust


def register(app: faust.App, tick_ms: int, turn: Callable[[], Awaitable[None]]) -> None:
    """Call `turn` every `tick_ms` milliseconds until the app stops; `turn` deals with its own errors."""

    async def wheel() -> None:
        while not app.should_stop:
            await asyncio.sleep(tick_ms / 1_000)
            await turn()

    app.task(wheel)
