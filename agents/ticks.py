"""The agent that takes slices of ticks to the engine of their partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import faust


def register(app: faust.App, topic: Any, feed: Callable[[Any], Awaitable[None]]) -> None:
    """Make a Faust agent over `topic` whose every message is a slice for `feed`; `feed` deals with its own errors."""

    @app.agent(topic, name="ticks")
    async def ticks(stream: AsyncIterator[Any]) -> None:
        async for part in stream:
            await feed(part)
