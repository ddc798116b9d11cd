"""Days, weeks and what divides them on local clocks, against a walk over `zoneinfo`, and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import pytest

from tables.calendar import DAY_MS, Calendar, Frame, check_frames, frame_of, misfit, sources

MINUTE, HOUR = 60_000, 3_600_000
STEP = 5 * MINUTE  # of the walk: no clock and no frame below has a finer bound
FRAMES = [frame_of(name) for name in ("5m", "15m", "1h", "4h", "1d", "1w", "1M")]
CLOCKS = {  # zone, day_start, week_start
    "UTC": ("UTC", 0, 0),
    "New York at 17:00, weeks from Sunday": ("America/New_York", 17 * HOUR, 6),
    "London": ("Europe/London", 0, 0),
    "Sydney": ("Australia/Sydney", 0, 0),
    "a half-hour zone": ("Asia/Kolkata", 0, 0),
    "a change of half an hour": ("Australia/Lord_Howe", 9 * HOUR + 30 * MINUTE, 0),
    "a change at midnight": ("America/Sao_Paulo", 0, 6),
    "a beginning that is left out or comes twice": ("Europe/London", HOUR + 30 * MINUTE, 0),
}
SPANS = [("2014-02-27", "2014-04-09"), ("2014-09-29", "2014-11-05")]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def walked(zone: str, day_start: int, week_start: int, first: int, last: int) -> Iterator[tuple[int, date]]:
    """Each five minutes with the date of its day: the latest whose `day_start` the clock has shown or passed."""
    day = date.min
    for time in range(first, last, STEP):
        local = datetime.fromtimestamp(time / 1_000, ZoneInfo(zone)).replace(tzinfo=None)
        day = max(day, (local - timedelta(milliseconds=day_start)).date())
        yield time, day


def expected(frame: Frame, days: dict[date, list[int]], week_start: int) -> Iterator[tuple[int, int]]:
    """Start and end of each window, from the steps of each day."""
    if frame.size:
        for steps in days.values():
            for part in range(0, len(steps), frame.size // STEP):
                taken = steps[part : part + frame.size // STEP]
                yield taken[0], taken[-1] + STEP
        return
    label = {
        "1d": lambda day: day,
        "1w": lambda day: day - timedelta(days=(day.weekday() - week_start) % 7),
        "1M": lambda day: day.replace(day=1),
    }[frame.name]
    for _, group in groupby(days, key=label):
        steps = [step for day in group for step in days[day]]
        yield steps[0], steps[-1] + STEP


@pytest.mark.parametrize("span", SPANS, ids=["spring", "autumn"])
@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_every_window_across_the_changes_of_2014_is_where_a_walk_over_the_clock_finds_it(
    clock: tuple[str, int, int], span: tuple[str, str]
) -> None:
    days: dict[date, list[int]] = {}
    for time, day in walked(*clock, ms(span[0]), ms(span[1])):
        days.setdefault(day, []).append(time)
    del days[min(days)], days[max(days)]  # the walk saw a part of them
    calendar = Calendar(*clock)
    for frame in FRAMES:
        windows = list(expected(frame, days, clock[2]))
        if frame.rank > 1:
            windows = windows[1:-1]  # the outer ones are cut by the walk
        for start, end in windows:
            for time in (start, end - 1) if frame.rank > 1 else range(start, end, STEP):
                if frame.rank == 1:
                    calendar._today = (0, 0, 0)  # it is found anew
                assert calendar.window(frame, time) == (start, end), (frame.name, time)


@pytest.mark.parametrize(
    ("clock", "frame", "at", "start", "end", "hours"),
    [
        ("New York at 17:00, weeks from Sunday", "1d", "2014-03-09T12:00", "2014-03-08T22:00", "2014-03-09T21:00", 23),
        ("New York at 17:00, weeks from Sunday", "1d", "2014-11-02T12:00", "2014-11-01T21:00", "2014-11-02T22:00", 25),
        ("New York at 17:00, weeks from Sunday", "1w", "2014-03-12T12:00", "2014-03-09T21:00", "2014-03-16T21:00", 168),
        ("New York at 17:00, weeks from Sunday", "1w", "2014-03-09T12:00", "2014-03-02T22:00", "2014-03-09T21:00", 167),
        ("New York at 17:00, weeks from Sunday", "4h", "2014-03-09T20:00", "2014-03-09T18:00", "2014-03-09T21:00", 3),
        ("New York at 17:00, weeks from Sunday", "4h", "2014-11-02T21:30", "2014-11-02T21:00", "2014-11-02T22:00", 1),
        ("New York at 17:00, weeks from Sunday", "1M", "2014-03-20T00:00", "2014-03-01T22:00", "2014-04-01T21:00", 743),
        ("London", "1d", "2014-03-30T12:00", "2014-03-30T00:00", "2014-03-30T23:00", 23),
        ("London", "1d", "2014-10-26T12:00", "2014-10-25T23:00", "2014-10-27T00:00", 25),
        ("Sydney", "1d", "2014-10-04T20:00", "2014-10-04T14:00", "2014-10-05T13:00", 23),
        ("Sydney", "1d", "2014-04-05T20:00", "2014-04-05T13:00", "2014-04-06T14:00", 25),
        ("a half-hour zone", "1h", "2014-05-05T00:15", "2014-05-04T23:30", "2014-05-05T00:30", 1),
        ("a change at midnight", "1d", "2014-10-19T12:00", "2014-10-19T03:00", "2014-10-20T02:00", 23),
        ("UTC", "1M", "2014-12-31T23:59", "2014-12-01T00:00", "2015-01-01T00:00", 744),
    ],
)
def test_windows_that_are_known_by_hand(clock: str, frame: str, at: str, start: str, end: str, hours: int) -> None:
    assert Calendar(*CLOCKS[clock]).window(frame_of(frame), ms(at)) == (ms(start), ms(end))
    assert ms(end) - ms(start) == hours * HOUR


def test_a_date_that_a_zone_left_out_has_no_day() -> None:
    calendar = Calendar("Pacific/Apia")  # it skipped 30 December 2011
    day = frame_of("1d")
    before = calendar.window(day, ms("2011-12-30T09:59"))
    after = calendar.window(day, ms("2011-12-30T10:00"))
    assert before == (ms("2011-12-29T10:00"), ms("2011-12-30T10:00"))
    assert after == (ms("2011-12-30T10:00"), ms("2011-12-31T10:00"))


def test_every_moment_is_in_one_window_and_windows_follow_on_each_other() -> None:
    for clock in CLOCKS.values():
        calendar = Calendar(*clock)
        for frame in FRAMES:
            time, last = ms("2013-12-01"), ms("2014-02-01") if frame.size else ms("2016-01-01")
            start, end = calendar.window(frame, time)
            while end < last:
                assert start < end
                following = calendar.window(frame, end)
                assert following[0] == end
                assert calendar.window(frame, end - 1) == (start, end)
                start, end = following


def test_a_frame_is_read_by_its_name_and_another_is_refused() -> None:
    assert [frame.name for frame in sorted([*FRAMES[3:], *FRAMES[:3]])] == [frame.name for frame in FRAMES]
    assert frame_of("90m").size == 90 * MINUTE
    for text in ("", "0m", "1", "m", "2d", "13h", "1y", "05m", "-5m", "1m1m"):
        with pytest.raises(ValueError, match=r"is not a frame|longer than 12h"):
            frame_of(text)


def test_a_frame_gathers_the_longest_shorter_one_that_it_is_made_of() -> None:
    assert sources(FRAMES) == [-1, 0, 1, 2, 3, 4, 4]
    assert sources([frame_of(name) for name in ("5m", "7m", "1h", "1w", "1M")]) == [-1, -1, 0, 2, 2]
    assert sources([frame_of("1w"), frame_of("1M")]) == [-1, -1]


@pytest.mark.parametrize(
    ("frames", "base", "said"),
    [
        (["5m"], 2 * MINUTE, "frame 5m is no multiple of the base window of 120000 ms"),
        (["1m"], MINUTE, "frame 1m is no multiple"),
        (["60m", "1h"], MINUTE, "frame 1h comes twice"),
        (["1d", "1d"], MINUTE, "frame 1d comes twice"),
        ([f"{number}m" for number in range(2, 18)], MINUTE, "there are more than 15 frames"),
    ],
)
def test_frames_that_base_windows_do_not_fill_are_refused(frames: list[str], base: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_frames([frame_of(name) for name in frames], base)


def test_the_first_date_on_which_a_day_begins_inside_a_base_window_is_found() -> None:
    since = ms("2014-01-01")
    assert misfit("America/New_York", 17 * HOUR, MINUTE, since) is None
    assert misfit("Asia/Kolkata", 0, 30 * MINUTE, since) is None
    assert misfit("Asia/Kolkata", 0, HOUR, since) == date(2014, 1, 1)
    assert misfit("Australia/Lord_Howe", 0, HOUR, since) == date(2014, 4, 7), "its summer is a whole hour from UTC"
    assert misfit("UTC", 9 * HOUR + 30 * MINUTE, HOUR, since) == date(2013, 12, 31), "the day that had begun then"


def test_the_beginnings_of_days_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tables.calendar._MOST_KNOWN", 10)
    calendar, day = Calendar("Europe/London"), frame_of("1d")
    found = [calendar.window(day, ms("2014-03-01") + number * DAY_MS) for number in range(60)]
    assert all(earlier[1] == later[0] for earlier, later in pairwise(found))
    assert len(calendar._begins) <= 10
