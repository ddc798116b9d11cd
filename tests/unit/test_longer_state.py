"""What longer windows take in, and their records: the same bytes as by the plain way."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tables.state import Close, FurtherState, LongerState, decode_further, encode_further, encode_longer, longer_head
from tables.window import Window, merged_state, new_window, pack_window, unpack_window

PRICES = st.sampled_from([Decimal(text) for text in ("1.3", "1.30", "1.29", "1.305", "2", "-1", "0")])
TICKS = st.tuples(PRICES, st.none() | PRICES.map(abs), st.integers(0, 9), st.integers(0, 2))
Tick = tuple[Decimal, Decimal | None, int, int]


def folded(ticks: list[tuple[int, Tick]]) -> Window:
    """A window of these ticks, each with its offset."""
    offset, (price, qty, ts, seq) = ticks[0]
    window = new_window(60, offset, price, ts, seq, offset)
    if qty is not None:
        window.add_quantity(price, qty)
    for offset, (price, qty, ts, seq) in ticks[1:]:
        window.fold(price, qty, ts, seq, offset)
    return window


@given(
    first=st.lists(TICKS, min_size=1, max_size=4), second=st.lists(TICKS, min_size=1, max_size=4), gap=st.sampled_from([0, 10])
)
def test_a_state_takes_in_a_window_as_a_fold_of_all_ticks_would(first: list[Tick], second: list[Tick], gap: int) -> None:
    later = [(price, qty, ts + gap, seq) for price, qty, ts, seq in second]  # with the gap all of them are
    numbered = list(enumerate([*first, *later]))
    one, other = folded(numbered[: len(first)]), folded(numbered[len(first) :])
    state = pack_window(one)
    before = pack_window(other)
    assert merged_state(state, other) == pack_window(folded(numbered))
    assert merged_state(pack_window(other), one) == pack_window(folded(numbered))
    assert (pack_window(other), pack_window(unpack_window(state))) == (before, state)  # neither was changed


@given(
    frames=st.lists(st.tuples(st.text(max_size=9), st.integers(-(1 << 62), 1 << 62), st.integers(0, 1 << 62)), max_size=15),
    close=st.none() | st.just(Close(Decimal("1.3"), 1, 2, 3, 4, 5)),
)
def test_a_record_of_longer_windows_is_that_of_its_parts(frames: list[tuple[str, int, int]], close: Close | None) -> None:
    state = pack_window(folded([(0, (Decimal("1.3"), None, 1, 1))]))
    record = encode_longer([part for frame in frames for part in (longer_head(*frame), state)], close)
    whole = FurtherState([LongerState(*frame, msgspec.Raw(state)) for frame in frames], close=close)
    assert record == encode_further(whole)
    assert [(one.frame, one.start, one.end, bytes(one.window)) for one in decode_further(record).longer] == [
        (*frame, state) for frame in frames
    ]
