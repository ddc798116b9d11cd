"""What longer windows take in, and their records: the same bytes as by the plain way."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables import native
from tables.core import PYTHON
from tables.packed import order_of_key
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


HOSTILE = st.sampled_from(
    [
        *("1.3", "1.30", "-1", "-0", "-0.00", "0", "0.00", "0.0000001", "0.00000010", "1E-7", "1E+3", "123456789012345678"),
        *("1234567890123456789", "0.123456789012345678", "0.1234567890123456789", "99999999999999999999999999999999.99"),
    ]
).map(Decimal)
EDGES = [
    0,
    1,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    1 << 32,
    (1 << 32) - 1,
    1 << 58,
    -1,
    -32,
    -33,
    -128,
    -129,
    -32_769,
    -(1 << 33),
]
SIZES = st.none() | HOSTILE.map(abs)
HOSTILE_TICKS = st.tuples(HOSTILE, SIZES, st.sampled_from(EDGES), st.sampled_from(EDGES))


@pytest.mark.skipif(native.NATIVE is None, reason=native.MISSING)
@given(
    parts=st.lists(st.lists(HOSTILE_TICKS, min_size=1, max_size=3), min_size=1, max_size=4),
    end=st.sampled_from([60, *EDGES]),
    as_state=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_the_native_core_packs_and_merges_windows_to_the_same_bytes(
    parts: list[list[Tick]], end: int, as_state: list[bool]
) -> None:
    core = native.NATIVE
    assert core is not None
    windows = [folded([(offset, tick) for offset, tick in enumerate(part, 10 * number)]) for number, part in enumerate(parts)]
    adopted = [core.adopted(window) for window in windows]
    states = PYTHON.pack_all(windows)
    assert tuple(core.pack_all(adopted)) == states
    theirs, ours = PYTHON.packed(windows[0], end), core.packed(states[0] if as_state[0] else adopted[0], end)
    for window, state, other, packed in zip(windows[1:], states[1:], adopted[1:], as_state[1:], strict=False):
        assert ours == theirs
        theirs, ours = PYTHON.merged(theirs, window), core.merged(ours, state if packed else other)
    assert ours == theirs


@pytest.mark.skipif(native.NATIVE is None, reason=native.MISSING)
@given(state=st.binary(max_size=40), cut=st.integers(0, 200), at=st.integers(0, 200), byte=st.integers(0, 255))
def test_the_native_core_leaves_bytes_that_are_no_window_to_python(state: bytes, cut: int, at: int, byte: int) -> None:
    core = native.NATIVE
    assert core is not None
    usual = pack_window(folded([(0, (Decimal("1.3"), Decimal(2), 1, 1))]))
    spoilt = usual[: at % len(usual)] + bytes([byte]) + usual[at % len(usual) + 1 :]
    for one in (state, usual[: cut % len(usual)], usual + state, spoilt):
        try:
            theirs = PYTHON.merged(usual, one)
        except (msgspec.MsgspecError, ArithmeticError, ValueError) as error:
            with pytest.raises(type(error)):
                core.merged(usual, one)
        else:
            assert core.merged(usual, one) == theirs


@pytest.mark.skipif(native.NATIVE is None, reason=native.MISSING)
def test_the_native_core_merges_as_many_ticks_as_a_state_can_tell() -> None:
    core = native.NATIVE
    assert core is not None
    window = folded([(0, (Decimal("1.3"), Decimal(2), 1, 1))])
    window.ticks = (1 << 63) - 1
    state = pack_window(window)
    assert core.merged(state, state) == PYTHON.merged(state, state)


@pytest.mark.skipif(native.NATIVE is None, reason=native.MISSING)
def test_the_native_core_refuses_a_frame_that_a_symbol_does_not_have() -> None:
    core = native.NATIVE
    assert core is not None
    longer = core.longer(b"A|x", ("A", "x"), core.scope("A"), 2)
    state = pack_window(folded([(0, (Decimal("1.3"), None, 1, 1))]))
    with pytest.raises(IndexError):
        core.merge_all([longer], [state], 2, 60, [], [])
    with pytest.raises(IndexError):
        core.take_states([longer], 2, [])


@pytest.mark.skipif(native.NATIVE is None, reason=native.MISSING)
@given(
    parts=st.lists(st.lists(HOSTILE_TICKS, min_size=1, max_size=3), min_size=1, max_size=4),
    restored=st.lists(st.booleans(), min_size=4, max_size=4),
    together=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_the_native_core_keeps_longer_windows_that_have_the_same_states(
    parts: list[list[Tick]], restored: list[bool], together: list[bool]
) -> None:
    core = native.NATIVE
    assert core is not None
    ours, theirs = (one.longer(b"A|x", ("A", "x"), one.scope("A"), 2) for one in (core, PYTHON))
    for number, part in enumerate(parts):
        window = folded([(offset, tick) for offset, tick in enumerate(part, 10 * number)])
        if restored[number]:
            ours.states[1], theirs.states[1] = theirs.states[1], ours.states[1]
        adopted = [core.adopted(window)]
        new = core.merge_all([ours], core.pack_all(adopted) if together[number] else adopted, 1, 600, [], [])
        assert new == PYTHON.merge_all([theirs], [window], 1, 600, [], [])
        assert list(ours.states) == list(theirs.states)
    changed: list[object] = []
    assert list(core.take_states([ours], 1, changed)) == list(PYTHON.take_states([theirs], 1, []))
    assert (list(ours.states), changed) == ([None, None], [])
    with pytest.raises(ValueError, match="no open window"):
        core.take_states([ours], 1, [])


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="|", exclude_categories=("Cc", "Cs")), min_size=1, max_size=3)
KEYS = st.tuples(NAMES, NAMES).map(lambda name: "|".join(name).encode())


@given(keys=st.sets(KEYS, max_size=20), others=st.sets(KEYS, max_size=5), kind=st.sampled_from([list, tuple]))
def test_a_key_is_found_among_those_in_the_order_of_bars(keys: set[bytes], others: set[bytes], kind: type) -> None:
    ordered = kind(sorted(keys, key=order_of_key))
    for core in [PYTHON, *([] if native.NATIVE is None else [native.NATIVE])]:
        for key in [*keys, *others]:
            assert core.place_of(ordered, key) == (list(ordered).index(key) if key in keys else -1)
