"""A symbol of the native core has its windows in the order in which that of the core in Python has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables import native
from tables.core import PYTHON, Core

pytestmark = pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")

ENDS = st.integers(1, 4)


def ends_of(symbol: Any) -> tuple[Any, ...]:
    """Of the current window, of all, and of the others."""
    current = None if symbol.current is None else symbol.current.end
    return current, [window.end for window in symbol.windows()], [*symbol.others], symbol.resting


@given(st.lists(st.tuples(st.sampled_from(["tick", "close"]), ENDS), max_size=40))
def test_windows_are_opened_switched_to_and_closed_alike(steps: list[tuple[str, int]]) -> None:
    cores: list[Core] = [PYTHON, native.NATIVE]  # type: ignore[list-item]  # it is built
    symbols = [core.symbol(b"a|x", ("a", "x"), core.scope("a")) for core in cores]
    for step, end in steps:
        is_open = end in [window.end for window in symbols[0].windows()]
        for core, symbol in zip(cores, symbols, strict=True):
            if step == "tick" and symbol.switch_to(end) is None:
                symbol.open(core.first_window(end, 0, Decimal(1), None, end - 1, 0, end))
            elif step == "close" and is_open:
                (window,) = core.take_windows([symbol], end, False, [])
                assert window.end == end
        assert ends_of(symbols[0]) == ends_of(symbols[1])


def test_a_window_that_is_not_open_cannot_be_closed() -> None:
    core: Any = native.NATIVE
    symbol = core.symbol(b"a|x", ("a", "x"), core.scope("a"))
    for end in (1, 2, 3):
        symbol.open(core.first_window(end, 0, Decimal(1), None, end - 1, 0, end))
    with pytest.raises(KeyError):
        core.take_windows([symbol], 4, False, [])
