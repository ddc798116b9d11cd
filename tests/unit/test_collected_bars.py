"""`app bars` holds the newest bars in memory, and no others."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InputError
from app.finals import BarQuery, PlacedBar
from app.operations.bars import Wanted, _Collected, changed, wanted_bars
from app.settings import Settings
from tables.calendar import Calendar, frame_of
from tests.support.bars import bar
from tests.unit.test_engine_properties import PROFILE

MINUTE = 60_000
EVERY = BarQuery("a")
RECORDS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(("x", "y")), st.integers(0, 12), st.integers(0, 3)), max_size=60
)  # partition, symbol, minute, revision


@PROFILE
@given(records=RECORDS, last=st.integers(1, 5) | st.none(), revisions=st.booleans(), folded=st.booleans())
def test_the_newest_are_held_whatever_the_order_in_which_bars_are_read(
    records: list[tuple[int, str, int, int]], last: int | None, *, revisions: bool, folded: bool
) -> None:
    fold, size = (frame_of("5m"), 5) if folded else (None, 1)
    collected = _Collected(Wanted(EVERY, (), fold, revisions=revisions, last=last), Calendar())
    expected: dict[tuple[int, str, int], set[tuple[int, int]]] = {}
    for partition, symbol, minute, revision in records:
        collected.add(PlacedBar(partition, bar("fx", symbol, minute * MINUTE, revision=revision)))
        expected.setdefault((minute // size, symbol, partition), set()).add((minute, revision))
    open_ones = len({(partition, symbol) for partition, symbol, _, _ in records}) if folded else 0
    assert last is None or len(collected._held) <= last + open_ones
    wanted = sorted(expected.items())[-(last + open_ones) if last else 0 :]
    if not revisions:
        wanted = [(window, {(one, max(r for m, r in bars if m == one)) for one, _ in bars}) for window, bars in wanted]
    found = [[(held.bar.bucket_start // MINUTE, held.bar.revision) for held in versions] for versions in collected.versions()]
    assert found == [sorted(bars) for _, bars in wanted]


def of(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg, arg-type]  # pydantic-settings' own, and any setting


def test_a_later_record_of_a_bar_replaces_it_and_an_older_revision_does_not() -> None:
    collected = _Collected(Wanted(EVERY, ()), Calendar())
    for close, revision in (("1.1", 0), ("1.2", 0), ("1.3", 2), ("1.4", 1)):
        collected.add(PlacedBar(0, bar(close=close, revision=revision)))
    assert [str(placed.bar.close) for versions in collected.versions() for placed in versions] == ["1.3"]


def test_a_window_of_a_fold_is_chosen_by_its_own_start() -> None:
    query = BarQuery("a", since=5 * MINUTE, until=10 * MINUTE)
    collected = _Collected(Wanted(query, (), frame_of("5m")), Calendar())
    for minute in (4, 5, 9, 10):
        collected.add(PlacedBar(0, bar(start=minute * MINUTE)))
    assert [[one.bucket_start // MINUTE for one in bars] for _, bars in collected.windows()] == [[5, 9]]


def test_what_a_revision_changed_is_named() -> None:
    before, after = bar(close="1.5"), bar(close="1.6", revision=1)
    assert changed(before, msgspec.structs.replace(after, ticks=4)) == ["revision", "high", "close", "ticks"]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("7", "'7' is not a frame"),
        ("90s", "frame 90s is no multiple of the base window of 60000 ms"),
        ("13h", "'13h' is longer than 12h"),
    ],
)
def test_a_frame_that_cannot_be_is_refused(frame: str, said: str) -> None:
    with pytest.raises(InputError, match="--frame") as refused:
        wanted_bars(of(), EVERY, frame, revisions=False, last=None)
    assert said in str(refused.value)


def test_a_frame_is_read_where_it_is_kept_and_folded_elsewhere() -> None:
    def topics(frame: str) -> tuple[str, bool]:
        wanted = wanted_bars(of(frames="5m,1h", empty="flat"), EVERY, frame, revisions=False, last=None)
        return wanted.topics[0], wanted.fold is not None

    assert [topics(frame) for frame in ("", "1m", "60s", "5m", "1h", "15m", "1d")] == [
        *(("bar_1m_final", False),) * 3,
        *(("bar_5m_final", False), ("bar_1h_final", False)),
        *(("bar_1m_final", True),) * 2,
    ]
    with pytest.raises(InputError, match="have no history"):
        wanted_bars(of(), EVERY, "15m", revisions=True, last=None)
