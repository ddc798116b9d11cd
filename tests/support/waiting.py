"""Wait for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, deadline: float = 30.0, every: float = 0.02, what: str = "") -> T:
    """Return the first truthy value of the condition; raises `AssertionError` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        value: T = await result if inspect.isawaitable(result) else result
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(_message(condition, what, deadline, value))
        await asyncio.sleep(every)


def until_sync(condition: Callable[[], T], *, deadline: float = 30.0, every: float = 0.02, what: str = "") -> T:
    """Like `until`, without an event loop."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(_message(condition, what, deadline, value))
        time.sleep(every)


def _message(condition: object, what: str, deadline: float, value: object) -> str:
    name = what or getattr(condition, "__qualname__", repr(condition))
    return f"not within {deadline:g} s: {name} (last value: {value!r})"
