"""Wait for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, deadline: float = 30.0, every: float = 0.02, what: str = "") -> T:
    """Return the condition's first truthy answer; raises `AssertionError` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        answer = condition()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(_message(condition, what, deadline, value))
        await asyncio.sleep(every)


def until_sync(condition: Callable[[], T], *, deadline: float = 30.0, every: float = 0.02, what: str = "") -> T:
    """Do the same as `until`, for code without an event loop."""
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
    return f"not within {deadline:g} s: {name} (last answer: {value!r})"
