"""Closed windows as the bytes of their states (`pack_window`), many at once. The native core has the same functions.

A part is what a longer window takes in: a base window that has closed, or the state of a shorter one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from tables.scopes import Longer
from tables.window import Window, merged_state, pack_window, unpack_window

Part = Window | bytes
PackAll = Callable[[list[Window]], Sequence[bytes]]  # it does not change any more
# of symbols and a part of each, a frame, the end of its windows; those that got their first part, and those that changed
MergeAll = Callable[[list[Longer], Sequence[Part], int, int, list[Longer], list[Any]], int]
TakeStates = Callable[[list[Longer], int, list[Any]], Sequence[bytes]]


def opened_by(state: bytes, arrival: int) -> bytes:
    """The state of a window that was opened at this arrival time, or before it; the same object where it was."""
    window = unpack_window(state)
    if window.opened_at <= arrival:
        return state
    window.opened_at = arrival
    return pack_window(window)


def place_of(keys: Sequence[bytes], key: bytes) -> int:
    """The place of a key among those of symbols, in the order of bars; -1: it is not there."""
    place = bisect_left(keys, order_of_key(key), key=order_of_key)
    return place if place < len(keys) and keys[place] == key else -1


def order_of_key(key: bytes) -> bytes:
    """What sorts the keys as `order_of` sorts the names: UTF-8 sorts like its characters."""
    return key.replace(b"|", b"\0")


def pack_all(windows: list[Window]) -> Sequence[bytes]:
    """The states of windows."""
    return tuple(map(pack_window, windows))


def packed(part: Part, end: int) -> bytes:
    """The state of a longer window with this end that has one part."""
    window = unpack_window(part) if isinstance(part, bytes) else part
    own, window.end = window.end, end  # a copy would cost more than to encode it
    state = pack_window(window)
    window.end = own
    return state


def merged(state: bytes, part: Part) -> bytes:
    """The state of a longer window that takes in a part."""
    return merged_state(state, unpack_window(part) if isinstance(part, bytes) else part)


def merge_all(
    longers: list[Longer], parts: Sequence[Part], frame: int, end: int, members: list[Longer], changed: list[Any]
) -> int:
    """Merge a part of each of these symbols into its open window of a frame, which ends at `end`.

    `members` gets those that had none before, and `changed` those that had not changed. Returns how many had none.
    """
    new = 0
    for longer, part in zip(longers, parts, strict=True):
        held = longer.states[frame]
        if held is None:
            members.append(longer)
            new += 1
            longer.states[frame] = packed(part, end)
        else:
            longer.states[frame] = merged(held, part)
        if not longer.changed:
            longer.changed = True
            changed.append(longer)
    return new


def take_states(members: list[Longer], frame: int, changed: list[Any]) -> Sequence[bytes]:
    """Take the open window of a frame from each of its members. `changed` gets those that had not changed before."""
    states: list[bytes] = []
    for longer in members:
        state = longer.states[frame]
        assert state is not None  # noqa: S101  # it is a member
        states.append(state)
        longer.states[frame] = None
        if not longer.changed:
            longer.changed = True
            changed.append(longer)
    return tuple(states)
