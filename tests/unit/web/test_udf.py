"""What UDF makes of sizes of windows, of names, and of bars."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.readmodel.queries import StoredBar
from app.web.udf.endpoints import decimals, one_each
from app.web.udf.names import prefix_of, ticker
from app.web.udf.resolutions import base_resolutions, canonical, served


@pytest.mark.parametrize(
    ("size", "name"),
    [(60_000, "1"), (300_000, "5"), (3_600_000, "60"), (14_400_000, "240"), (86_400_000, "1D"), (1_000, "1S"), (90_000, "90S")],
)
def test_a_size_of_windows_has_a_resolution(size: int, name: str) -> None:
    assert base_resolutions(size) == {name: size}


def test_windows_of_a_part_of_a_second_have_none() -> None:
    assert base_resolutions(200) == {}
    assert base_resolutions(1_500) == {}


def test_a_day_a_week_and_a_month_may_come_without_their_one() -> None:
    assert [canonical(text) for text in ("D", "W", "M", "1D", "60", "10S")] == ["1D", "1W", "1M", "1D", "60", "10S"]


def test_each_kind_of_resolution_is_told_apart() -> None:
    found = served(["10S", "1", "60", "1D", "1W"])
    assert (found.seconds, found.minutes, found.daily, found.weekly_and_monthly) == (("10",), ("1", "60"), True, True)


def test_no_name_means_two_symbols() -> None:
    assert ticker("a", "b:c") == "a:b:c"
    assert ticker("a:b", "c") == "a:b|c"
    assert prefix_of("FX:E") == "FX|E"
    assert prefix_of("a:b|c") == "a:b|c"


def test_of_two_bars_with_one_start_that_of_the_lower_partition_is_shown() -> None:
    newest_first = [StoredBar(2, 0, b""), StoredBar(1, 7, b""), StoredBar(1, 3, b""), StoredBar(0, 1, b"")]
    assert [(bar.start, bar.partition) for bar in one_each(newest_first)] == [(2, 0), (1, 3), (0, 1)]


def test_decimals_are_those_of_the_value_with_most() -> None:
    assert decimals(map(Decimal, ("1.10", "2", "3.125", "5E+3"))) == 3
    assert decimals(map(Decimal, ("9E-7",))) == 7
    assert decimals([Decimal("1E-40")]) == 16
    assert decimals([]) == 0
