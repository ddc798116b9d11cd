"""The Faust agent over the input topic: it hands each slice of ticks to the task of its partition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.types import StreamT


def register(app: faust.App, topic: Any, feed: Callable[[Any], Awaitable[None]]) -> None:
    """Make a Faust agent over `topic`. Each of its messages holds slices for `feed`, which handles its own errors."""

    async def ticks(stream: StreamT[Any]) -> None:
        """Reads ticks and publishes final bars."""  # `faust -A app agents` shows it
        async for slices in stream:
            for part in slices:
                await feed(part)

    app.agent(topic, name="ticks")(ticks)
