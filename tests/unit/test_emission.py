"""Closed windows: what goes over the wire is what the bars say."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tables.bars import bar_key, encode_bar
from tables.emission import Closed, take_records
from tables.scopes import NEVER, UNKNOWN, Scope, Symbol
from tables.ticks import PER_SECOND
from tables.window import Window, new_window
from tests.unit.model import bars_of

END, SIZE = 1_399_248_060_000, 60_000
HEADERS = [("app", b"test")]
names = st.text(st.characters(codec="utf-8", exclude_characters="|", exclude_categories=("Cc", "Cs")), min_size=1)
digits = st.integers(1, 10**34 - 1)
prices = st.builds(lambda digits, exponent: Decimal(digits).scaleb(exponent), digits, st.integers(-33, 0))
sizes = st.none() | st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.just(0) | digits, st.integers(-33, 0)
)
ticks = st.tuples(prices, sizes, st.integers(0, SIZE - 1), st.integers(-5, 5))


def window(unit: str, told: list[tuple[Decimal, Decimal | None, int, int]]) -> Window:
    per_ms = PER_SECOND[unit] / 1_000
    made: Window | None = None
    for offset, (price, qty, after, seq) in enumerate(told):
        ts = int((END - SIZE + after) * per_ms)
        if made is None:
            made = new_window(END, END, price, ts, seq, offset)
            if qty is not None:
                made.add_quantity(price, qty)
        else:
            made.fold(price, qty, ts, seq, offset)
    assert made is not None
    return made


@given(
    st.lists(st.lists(st.tuples(names, names, st.lists(ticks, min_size=1, max_size=4)), min_size=1, max_size=3), max_size=4),
    st.sampled_from(sorted(PER_SECOND)),
    st.lists(st.integers(0, 1), min_size=4, max_size=4),
    st.lists(st.sampled_from([UNKNOWN, NEVER, END - SIZE - 1, END - SIZE]), min_size=4, max_size=4),
)
def test_the_records_of_closed_windows_are_their_bars_encoded(
    told: list[list[tuple[str, str, list[tuple[Decimal, Decimal | None, int, int]]]]],
    unit: str,
    later: list[int],
    cuts: list[int],
) -> None:
    steps = []
    for number, step in enumerate(told):
        symbols = [Symbol(f"{broker}|{name}".encode(), (broker, name), Scope(broker)) for broker, name, _ in step]
        windows = [window(unit, folded) for *_, folded in step]
        end, reason = END + later[number] * SIZE, "idle" if number % 2 else "watermark"
        evidence = reason, END + 5_000 + number, END, 17 + number
        steps.append(Closed(symbols, windows, end, SIZE, PER_SECOND[unit], *evidence, cuts[number]))
        steps[-1].revision, steps[-1].corrected = number // 2, number
    bars = [bar for step in steps for bar in bars_of(step)]
    expected = [(bar_key(b.broker, b.symbol, b.bucket_start), encode_bar(b), b.bucket_start, HEADERS) for b in bars]
    assert list(take_records(steps, HEADERS)) == expected
    assert not any(step.windows for step in steps)  # let go of, so that a burst of bars does not hold them twice
