"""The order of things that depend on one another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


def ordered(items: Iterable[_Item], follows: Callable[[_Item, _Item], bool]) -> list[_Item]:
    """The items in their order, except that each one comes after all that it follows. A circle stays as it is.

    `follows(one, other)` tells whether `one` must come after `other`.
    """
    left = list(items)
    found: list[_Item] = []
    while left:
        free = (one for one in left if not any(follows(one, other) for other in left if other is not one))
        found.append(next(free, left[0]))
        left = [one for one in left if one is not found[-1]]
    return found
