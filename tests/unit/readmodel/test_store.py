"""The read model's tables: rows are found, the oldest are deleted, and a damaged file is recreated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.doubled import Doubled
from app.readmodel.database_file import claim
from app.readmodel.queries import Queries
from app.readmodel.rows import BarRow, SideRow
from app.readmodel.store import MAX_SIDE_RECORDS, Store
from tests.support.examples import examples

IDENTITY = {"app_id": "a"}
PLACE = ("finals", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store(path, IDENTITY, max_bars=1_000)
    yield made
    made.close()


@pytest.fixture
def queries(store: Store, path: Path) -> Iterator[Queries]:
    made = Queries(path)
    yield made
    made.close()


def row(symbol: str, start: int, value: str = "x", broker: str = "fx", partition: int = 0) -> BarRow:
    return BarRow(broker, symbol, partition, start, value.encode())


def starts(queries: Queries, symbol: str, since: int = 0, until: int = 1 << 60, limit: int = 10_000) -> list[bytes]:
    return [bar.value for bar in queries.bars(queries.symbol("fx", symbol), since, until, limit)]


def newest(queries: Queries, broker: str | None, symbol: str | None, limit: int) -> list[bytes]:
    return [bar.value for bar in queries.newest_bars(broker, symbol, limit).bars]


def test_a_bar_that_is_read_again_replaces_the_first(store: Store, queries: Queries) -> None:
    store.add([row("A", 5, "first"), row("A", 6, "other")], [], {PLACE: 2})
    store.add([row("A", 5, "second")], [], {PLACE: 3})
    assert starts(queries, "A") == [b"other", b"second"]
    assert store.positions() == {PLACE: 3}


def test_the_newest_bars_come_first_and_within_the_bounds(store: Store, queries: Queries) -> None:
    store.add([row("A", start, str(start)) for start in range(10)], [], {})
    assert starts(queries, "A", 2, 8, 3) == [b"7", b"6", b"5"]


def test_the_newest_of_all_come_first_and_can_be_those_of_a_name(store: Store, queries: Queries) -> None:
    store.add([row("A", 7, "a7"), row("B", 3, "b3"), row("A", 8, "a8", "other")], [], {})
    store.add([row("B", 4, "b4"), row("A", 7, "a7 again")], [], {})
    assert newest(queries, None, None, 3) == [b"b4", b"a8", b"b3"]
    assert newest(queries, "fx", None, 9) == [b"b4", b"b3", b"a7 again"]
    assert newest(queries, None, "A", 9) == [b"a8", b"a7 again"]
    assert newest(queries, "fx", "A", 9) == [b"a7 again"]
    assert newest(queries, "fx", "nobody", 9) == []


@pytest.mark.parametrize("scanned", [1, 3, 10, 1_000])
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_bars_of_a_name_are_all_found_page_by_page_however_far_back_they_are(
    store: Store, queries: Queries, monkeypatch: pytest.MonkeyPatch, scanned: int, limit: int
) -> None:
    monkeypatch.setattr("app.readmodel.queries.MAX_SCANNED_BARS", scanned)
    names = ["rare" if start in (0, 7, 8, 22) else f"S{start % 3}" for start in range(25)]
    store.add([row(name, start, str(start)) for start, name in enumerate(names)], [], {})
    found, page = [], queries.newest_bars(None, "rare", limit)
    for _ in range(30):
        assert len(page.bars) <= limit
        found += [bar.value for bar in page.bars]
        if page.next is None:
            break
        page = queries.newest_bars(None, "rare", limit, before=page.next)
    assert (found, page.next) == ([b"22", b"8", b"7", b"0"], None)


def test_a_page_of_the_newest_bars_of_an_empty_file_is_the_last(queries: Queries) -> None:
    assert queries.newest_bars(None, None, 5) == ([], None)


def test_the_oldest_bars_are_deleted_first_and_this_is_recorded(store: Store, queries: Queries) -> None:
    store.add([row("A", start, str(start)) for start in range(900)], [], {})
    (known,) = queries.symbol("fx", "A")
    assert known.oldest_kept is None
    store.add([row("B", start) for start in range(300)], [], {})
    assert len(starts(queries, "A")) == 700
    (known,) = queries.symbol("fx", "A")
    assert known.oldest_kept == 200
    assert queries.extent() == (1_000, 2)


def test_bars_of_two_partitions_are_kept_apart_and_those_of_one_window_are_counted(store: Store, queries: Queries) -> None:
    store.add([row("A", 5, "five"), row("A", 6, "six")], [], {})
    store.add([row("A", 7, "seven in 3", partition=3)], [], {})
    assert store.doubled() is None, "a symbol that has moved, with no window in both"
    store.add([row("A", 6, "six in 3", partition=3), row("B", 6, "b")], [], {})
    assert store.doubled() == Doubled(1, "fx", "A", 6, (0, 3))
    store.add([row("A", 6, "six again"), row("A", 6, "six in 3 again", partition=3)], [], {})
    assert store.doubled() == Doubled(1, "fx", "A", 6, (0, 3)), "a repeated bar is no further one"
    assert starts(queries, "A") == [b"seven in 3", b"six in 3 again", b"six again", b"five"]
    assert [(place.partition, place.id) for place in queries.symbol("fx", "A")] == [(0, 1), (3, 2)]
    assert [(one.symbol, one.partition) for one in queries.symbols("", None, "", 9)] == [("A", 0), ("A", 3), ("B", 0)]


def test_pages_end_between_two_bars_of_one_window(store: Store, queries: Queries) -> None:
    store.add([row("A", start, f"{start} in {part}", partition=part) for start in range(3) for part in (0, 2, 10)], [], {})
    pages: list[bytes] = []
    until, before = 1 << 60, 0
    while page := queries.bars(queries.symbol("fx", "A"), 0, until, 2, before):
        pages += [bar.value for bar in page]
        until, before = page[-1][:2]
    assert pages == [f"{start} in {part}".encode() for start in (2, 1, 0) for part in (10, 2, 0)]


def test_symbols_in_two_partitions_are_known_after_the_file_is_opened_again(store: Store, path: Path) -> None:
    store.add([row("A", 5), row("B", 5), row("A", 5, partition=1)], [], {})
    store.close()
    again = Store(path, IDENTITY, 1_000)
    assert again.in_two == {("fx", "A")}
    assert again.doubled() == Doubled(1, "fx", "A", 5, (0, 1))
    again.add([row("A", 6), row("A", 6, partition=1)], [], {})
    assert again.doubled() == Doubled(2, "fx", "A", 6, (0, 1))
    again.add([row("B", start) for start in range(10, 1_010)], [], {})
    assert again.doubled() is None, "the oldest bars have been deleted"
    again.close()


def test_a_symbol_is_deleted_with_the_last_of_its_bars(store: Store, queries: Queries) -> None:
    store.add([row("A", 1), row("B", 2)], [], {})
    assert not queries.incomplete(), "what is not here was never published"
    store.add([row(f"S{number}", 3) for number in range(999)], [], {})
    assert queries.symbol("fx", "A") == []
    assert queries.symbol("fx", "B")
    assert queries.incomplete()
    store.add([row("A", 4)], [], {})
    (again,) = queries.symbol("fx", "A")
    assert again.id > 1_000, "a query that holds the id of a symbol never gets the bars of another one"
    assert starts(queries, "A") == [b"x"]


def test_a_symbol_of_two_partitions_is_deleted_from_each_with_its_last_bar_there(store: Store, queries: Queries) -> None:
    store.add([row("A", 5), row("A", 5, partition=3), row("A", 6, partition=3)], [], {})
    store.add([row("B", start) for start in range(998)], [], {})
    assert [place.partition for place in queries.symbol("fx", "A")] == [3]
    assert (store.in_two, store.twins_changed) == (set(), True)
    assert store.doubled() is not None, "its other bar was published, though it is no longer kept"
    store.add([row("B", 998)], [], {})
    assert store.twins_changed
    assert store.doubled() is None
    assert [place.partition for place in queries.symbol("fx", "A")] == [3]
    store.add([row("A", 7), row("A", 7, partition=3)], [], {})
    assert store.in_two == {("fx", "A")}
    assert store.doubled() == Doubled(1, "fx", "A", 7, (0, 3))


def test_the_file_is_as_large_as_its_bars_however_many_names_there_were(
    store: Store, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.readmodel.store.MAX_KNOWN_IDS", 1_500)
    count = 30_000
    for first in range(0, count, 3_000):
        store.add([row(f"S{number:06}", 5) for number in range(first, first + 3_000)], [], {})
        assert len(store._symbol_ids) <= 1_500
    assert queries.extent() == (1_000, 1_000)
    page = queries.symbols("s", None, "", 50)
    assert [one.symbol for one in page] == [f"S{number:06}" for number in range(count - 1_000, count - 950)]


def test_a_failed_write_leaves_nothing(store: Store, queries: Queries) -> None:
    bad = [row("A", 5), BarRow("fx", "B", 0, 6, None)]  # type: ignore[arg-type]  # its value must not be null
    with pytest.raises(Exception, match="NOT NULL"):
        store.add(bad, [], {PLACE: 9})
    assert store.positions() == {}
    store.add([row("A", 5)], [], {PLACE: 1})
    assert starts(queries, "A") == [b"x"]


@pytest.mark.parametrize("damage", ["cut", "garbage", "another"])
def test_a_file_that_is_damaged_or_of_other_topics_is_recreated(path: Path, damage: str) -> None:
    store = Store(path, IDENTITY, 10_000)
    store.add([row("A", start, "x" * 500) for start in range(2_000)], [], {PLACE: 2_000})
    store.close()
    identity = IDENTITY
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "garbage":
        path.write_bytes(b"this is no database" * 1_000)
    else:
        identity = {"app_id": "b"}
    again = Store(path, identity, 10_000)
    assert again.recreated
    assert again.positions() == {}
    again.close()
    whole = Store(path, identity, 10_000)
    assert not whole.recreated
    whole.close()


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="|"), min_size=1, max_size=6)


@settings(max_examples=examples(check=15, full=60, thorough=60), deadline=None)
@given(names=st.sets(st.tuples(NAMES, NAMES), max_size=12), prefix=st.text("aAbBßäÄ|. ", max_size=3), limit=st.integers(1, 4))
def test_a_search_finds_every_symbol_with_the_prefix_page_by_page(
    tmp_path_factory: pytest.TempPathFactory, names: set[tuple[str, str]], prefix: str, limit: int
) -> None:
    path = tmp_path_factory.mktemp("search") / "model.sqlite"
    store = Store(path, IDENTITY, 1_000)
    store.add([row(symbol, 5, broker=broker) for broker, symbol in names], [], {})
    queries = Queries(path)
    found: list[tuple[str, str]] = []
    after = ""
    while True:
        page = queries.symbols(prefix, None, after, limit)
        found += [(one.broker, one.symbol) for one in page]
        if len(page) < limit:
            break
        after = page[-1].key
    text = prefix.casefold()
    wanted = {
        (broker, symbol)
        for broker, symbol in names
        if (f"{broker}|{symbol}" if "|" in text else symbol).casefold().startswith(text)
    }
    assert set(found) == wanted
    assert len(found) == len(wanted)
    for broker, symbol in names:
        assert (broker, symbol) in {(one.broker, one.symbol) for one in queries.symbols(symbol, broker, "", 100)}
    queries.close()
    store.close()


def test_side_records_are_found_by_name_and_reason_and_stored_once(store: Store, queries: Queries) -> None:
    side = [
        SideRow("late", "ticks", 0, 7, 5, "fx", "A", 61, 60, "late", "d", "v", truncated=False),
        SideRow("rejected", "ticks", 0, 8, 5, None, None, None, None, "json", "d", "v", truncated=True),
    ]
    store.add([], side, {})
    store.add([], side, {})  # at least once
    assert [one.offset for one in queries.side_records("late", (None, None), None, 1 << 60, 10)] == [7]
    assert queries.side_records("late", ("fx", "B"), None, 1 << 60, 10) == []
    assert [one.truncated for one in queries.side_records("rejected", (None, None), "json", 1 << 60, 10)] == [1]
    assert queries.reasons("rejected") == {"json": 1}
    assert (queries.late_count("fx", "A", 60, 60 + 1), queries.late_count("fx", "A", 120, 120 + 1)) == (1, 0)


def test_a_flood_of_rejected_records_leaves_the_late_ones_alone(store: Store, queries: Queries) -> None:
    def side(kind: str, offset: int) -> SideRow:
        return SideRow(kind, "ticks", 0, offset, 5, "fx", "A", 61, 60, kind, "d", "v", truncated=False)

    store.add([], [side("late", offset) for offset in range(5)], {})
    for first in range(0, 3 * MAX_SIDE_RECORDS, 5_000):
        store.add([], [side("rejected", offset) for offset in range(first, first + 5_000)], {})
    assert queries.late_count("fx", "A", 60, 60 + 1) == 5
    assert queries.reasons("rejected") == {"rejected": MAX_SIDE_RECORDS}
    assert queries.side_records("rejected", (None, None), None, 1 << 60, 1)[0].offset == 3 * MAX_SIDE_RECORDS - 1


def test_two_workers_that_share_a_directory_have_a_file_each(tmp_path: Path) -> None:
    first, one = claim(tmp_path, "app")
    second, other = claim(tmp_path, "app")
    assert first != second
    one.close()
    again, lock = claim(tmp_path, "app")
    assert again == first
    lock.close()
    other.close()
