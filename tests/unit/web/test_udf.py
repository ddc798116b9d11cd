"""What UDF makes of sizes of windows, of names, and of bars."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from app.readmodel.queries import StoredBar
from app.settings import Settings
from app.web.udf.endpoints import decimals, one_each
from app.web.udf.names import prefix_of, ticker
from app.web.udf.resolutions import canonical, resolution_of, resolutions, served, trading_day


@pytest.mark.parametrize(
    ("size", "name"),
    [(60_000, "1"), (300_000, "5"), (3_600_000, "60"), (14_400_000, "240"), (86_400_000, "1D"), (1_000, "1S"), (90_000, "90S")],
)
def test_a_size_of_windows_has_a_resolution(size: int, name: str) -> None:
    assert resolution_of(size) == name


def test_windows_of_a_part_of_a_second_have_none() -> None:
    assert resolution_of(200) is None
    assert resolution_of(1_500) is None
    assert resolutions(Settings.load(_env_file=None, window_size="200ms", grace="1s")) == {}


def test_frames_are_resolutions_beside_the_base_windows() -> None:
    settings = Settings.load(_env_file=None, window_size="10s", frames="30s,1m,1h,1d,1w,1M")
    assert resolutions(settings) == {
        "10S": "",
        "30S": "30s",
        "1": "1m",
        "60": "1h",
        "1D": "1d",
        "1W": "1w",
        "1M": "1M",
    }


@pytest.mark.parametrize(
    ("start", "zone", "date"),
    [
        ("2024-01-08T00:00:00+00:00", "UTC", "2024-01-08"),
        ("2024-01-07T17:00:00-05:00", "America/New_York", "2024-01-08"),
        ("2024-03-10T17:00:00-04:00", "America/New_York", "2024-03-11"),  # clocks changed in its morning
        ("2024-01-08T09:00:00+09:00", "Asia/Tokyo", "2024-01-08"),
    ],
)
def test_a_day_has_the_date_on_which_it_trades(start: str, zone: str, date: str) -> None:
    ms = int(datetime.fromisoformat(start).timestamp()) * 1_000
    assert datetime.fromtimestamp(trading_day(ms, ZoneInfo(zone)), UTC).isoformat() == f"{date}T00:00:00+00:00"


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
