"""Event times in other layouts: exact, cut to the unit towards the past, and the same whatever was read before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.layouts.times import Times
from tables.ticks import PER_SECOND, RejectedError, event_time
from tests.support.examples import examples

PROFILE = settings(max_examples=examples(check=100, full=150, thorough=20_000), deadline=None)
UNITS = st.sampled_from(sorted(PER_SECOND))
NEW_YORK = ZoneInfo("America/New_York")


@PROFILE
@given(st.decimals(min_value=-(10**19), max_value=10**19, places=9) | st.integers(-(10**20), 10**20), UNITS, UNITS)
def test_a_number_is_exact_and_cut_towards_the_past(number: Decimal | int, theirs: str, ours: str) -> None:
    wanted = floor(Fraction(number) * PER_SECOND[ours] / PER_SECOND[theirs])
    times = Times("t", theirs, ours)
    assert times.of(number) == wanted
    assert times.of(str(number)) == wanted, "a number in text is that number"


FIRST, LAST = datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2037-01-01")


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, datetime, int]:
    """A date and time without an offset, its second, and its fraction in nanoseconds."""
    second = draw(st.datetimes(FIRST, LAST)).replace(microsecond=0)
    digits = draw(st.integers(0, 9))
    fraction = "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=digits, max_size=digits)))
    text = second.isoformat(sep=draw(st.sampled_from("Tt "))) + (f".{fraction}" if fraction else "")
    return text, second, int(fraction.ljust(9, "0"))


OFFSETS = st.sampled_from(("Z", "z", "+00:00", "-00:00", "+05:30", "-05:00", "+23:59", "-23:59"))


@PROFILE
@given(st.lists(st.tuples(texts(), OFFSETS), min_size=1, max_size=8), UNITS)
def test_text_with_an_offset_is_read_as_the_default_layout_reads_it(
    parts: list[tuple[tuple[str, datetime, int], str]], unit: str
) -> None:
    times = Times("t", unit, unit, NEW_YORK)
    for (text, _, _), offset in [*parts, *parts]:
        assert times.of(text + offset) == event_time(text + offset, unit)[0]


@PROFILE
@given(
    st.lists(texts(), min_size=1, max_size=8),
    UNITS,
    st.sampled_from(("America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu")),
)
def test_text_without_an_offset_is_in_the_zone(parts: list[tuple[str, datetime, int]], unit: str, zone: str) -> None:
    times = Times("t", unit, unit, ZoneInfo(zone))
    for text, second, nanos in [*parts, *parts]:
        seconds = (second.replace(tzinfo=ZoneInfo(zone)) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
        assert times.of(text) == seconds * PER_SECOND[unit] + nanos * PER_SECOND[unit] // 10**9


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2024-03-10T01:59:59", "2024-03-10T06:59:59"),
        ("2024-03-10T02:30:00", "2024-03-10T07:30:00"),  # never happened: the offset before the change, -05:00
        ("2024-03-10T03:00:00", "2024-03-10T07:00:00"),
        ("2024-11-03T01:30:00", "2024-11-03T05:30:00"),  # happened twice: the first one, -04:00
        ("2024-11-03T02:00:00", "2024-11-03T07:00:00"),
    ],
)
def test_a_local_time_that_happens_never_or_twice_has_the_offset_before_the_change(local: str, utc: str) -> None:
    times = Times("t", "s", "s", NEW_YORK)
    assert times.of(local) == times.of(utc + "Z")


def test_what_is_known_of_one_offset_is_not_used_for_another() -> None:
    times = Times("t", "s", "s", NEW_YORK)
    texts = ["2024-05-05 12:00:00Z", "2024-05-05 12:00:00", "2024-05-05 12:00:00+02:00"] * 2
    noon = 1_714_910_400
    assert [times.of(text) for text in texts] == [noon, noon + 4 * 3_600, noon - 2 * 3_600] * 2


@pytest.mark.parametrize(
    "text",
    ["", "x", "2024-05-05", "2024-05-05T12:00", "2024-05-05T12:00:00.Z", "2024-05-05T12:00:00.1234567891Z",
     "2024-02-30T00:00:00Z", "2024-05-05T24:00:00Z", "2024-05-05T12:00:60Z", "2024-05-05T12:00:00+24:00",
     "0000-01-01T00:00:00Z", "NaN", "Infinity", "1e99", "٢٠٢٤-05-05T12:00:00Z", "2024-05-05T12:00:00Zz"],
)  # fmt: skip
def test_what_is_no_time_is_rejected_with_the_field(text: str) -> None:
    with pytest.raises(RejectedError, match=r"^trade\.time: ") as caught:
        Times("trade.time", "ms", "ms", NEW_YORK).of(text)
    assert caught.value.reason == "ts"


def test_text_without_an_offset_needs_a_zone() -> None:
    with pytest.raises(RejectedError, match=r"t: '2024-05-05 12:00:00' is not RFC 3339 with an offset.*ticks_zone"):
        Times("t", "ms", "ms").of("2024-05-05 12:00:00")
