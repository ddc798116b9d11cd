"""Times of recorded ticks: units, fractions, formats and zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InputError
from app.tickfiles.times import time_reader, zone_of

SECOND = 1_690_000_000


@pytest.mark.parametrize(
    ("text", "file_unit", "time_unit", "ts"),
    [
        (f"{SECOND}", "s", "ms", SECOND * 1_000),
        (f"{SECOND}.1234", "s", "ms", SECOND * 1_000 + 123),
        (f"{SECOND}.1234", "s", "us", SECOND * 1_000_000 + 123_400),
        (f"{SECOND}.1234", "s", "s", SECOND),
        (f"{SECOND}123456789", "ns", "ms", SECOND * 1_000 + 123),
        (f"{SECOND}123", "ms", "ns", (SECOND * 1_000 + 123) * 1_000_000),
        (f"{SECOND}", "auto", "ms", SECOND * 1_000),
        (f"{SECOND}.5", "auto", "ms", SECOND * 1_000 + 500),
        (f"{SECOND}123", "auto", "ms", SECOND * 1_000 + 123),
        (f"{SECOND}123456", "auto", "ms", SECOND * 1_000 + 123),
        (f"{SECOND}123456789", "auto", "us", SECOND * 1_000_000 + 123_456),
    ],
)
def test_a_number_in_the_unit_of_the_file_is_sent_in_that_of_the_setting(
    text: str, file_unit: str, time_unit: str, ts: int
) -> None:
    per_ms = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}[time_unit]
    assert time_reader(time_unit, file_unit=file_unit)(text) == (str(ts), int(ts / per_ms))


@pytest.mark.parametrize(("text", "file_unit"), [("1.5", ""), ("12345", "auto"), ("1e9", "s"), ("-1.5", "s"), ("", "s")])
def test_a_number_that_is_not_clear_is_refused(text: str, file_unit: str) -> None:
    with pytest.raises(ValueError, match="ts="):
        time_reader("ms", file_unit=file_unit)(text)


@pytest.mark.parametrize(
    ("pattern", "zone", "text", "moment"),
    [
        ("%Y%m%d %H%M%S%f", "-05:00", "20120201 000003660", "2012-02-01T05:00:03.660+00:00"),
        ("%Y%m%d %H:%M:%S.%f", "UTC", "20140501 00:00:00.123", "2014-05-01T00:00:00.123+00:00"),
        ("%d.%m.%Y %H:%M:%S.%f", "UTC", "01.03.2013 00:00:00.605", "2013-03-01T00:00:00.605+00:00"),
        ("%Y.%m.%d %H:%M:%S.%f", "Europe/Athens", "2024.01.02 00:05:00.142", "2024-01-01T22:05:00.142+00:00"),
        ("%Y.%m.%d %H:%M:%S.%f", "Europe/Athens", "2024.07.02 00:05:00", "2024-07-01T21:05:00+00:00"),
        ("%d-%b-%y %I:%M:%S %p", "UTC", "02-Jan-24 12:05:07 am", "2024-01-02T00:05:07+00:00"),
        ("%Y-%m-%d %H:%M:%S%z", None, "2024-01-02 03:04:05+0530", "2024-01-01T21:34:05+00:00"),
    ],
)
def test_a_time_as_text(pattern: str, zone: str | None, text: str, moment: str) -> None:
    ms = round(datetime.fromisoformat(moment).timestamp() * 1_000)
    assert time_reader("ms", formats=(pattern,), zone=zone)(text) == (str(ms), ms)


@pytest.mark.parametrize("text", ["2024-01-02 03:04:05.5", "2024-01-02T03:04:05.500", "2024-01-02T03:04:05.5Z"])
def test_a_zone_alone_reads_iso(text: str) -> None:
    assert time_reader("ms", zone="UTC")(text)[1] == round(datetime(2024, 1, 2, 3, 4, 5, 500_000, UTC).timestamp() * 1_000)


@given(st.datetimes(), st.sampled_from(["UTC", "-05:00", "+05:30"]))
def test_every_time_is_that_which_datetime_reads(moment: datetime, zone: str) -> None:
    moment = moment.replace(year=1990 + moment.year % 100, day=min(moment.day, 28))
    micros = (moment.replace(tzinfo=zone_of(zone)) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    assert time_reader("us", formats=("%Y-%m-%d %H:%M:%S.%f",), zone=zone)(text) == (str(micros), micros // 1_000)


@pytest.mark.parametrize(("text", "says"), [("2024-11-03 01:30:00", "comes twice"), ("2024-03-10 02:30:00", "is skipped")])
def test_an_hour_that_comes_twice_or_not_at_all_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        time_reader("ms", zone="America/New_York")(text)


@pytest.mark.parametrize(
    "text", ["2024-13-01 00:00:00", "2024-02-30 00:00:00", "2024-01-01 25:00:00", "2024-01-01 00:00:60", "x"]
)
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ts="):
        time_reader("ms", zone="UTC")(text)


@pytest.mark.parametrize(
    ("formats", "zone", "says"),
    [
        (("%Y-%m-%d",), None, "--zone"),
        (("%Q",), "UTC", "%Q"),
        (("%Y %Y",), "UTC", "%Y"),
        (("%H:%M",), "UTC", "no date"),
        ((), "Mars/Olympus", "--zone Mars/Olympus"),
    ],
)
def test_a_format_or_zone_that_makes_no_sense_is_named(formats: tuple[str, ...], zone: str | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        time_reader("ms", formats=formats, zone=zone)
