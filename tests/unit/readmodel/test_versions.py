"""Versions of bars and longer bars in the read model: the newest counts, whatever the order in which they are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.readmodel.newest import MAX_SYMBOLS, Newest, NewestBars
from app.readmodel.queries import Queries
from app.readmodel.rows import BarRow
from app.readmodel.schema import VERSION
from app.readmodel.store import Store
from tests.support.examples import examples

FRAMES = ("5m", "1h")
IDENTITY = {"app_id": "a"}


def version(start: int, revision: int, frame: str = "", symbol: str = "A", partition: int = 0) -> BarRow:
    return BarRow("fx", symbol, partition, start, f"{frame} {start} {revision}".encode(), frame, revision)


def newest(queries: Queries, frame: str = "", symbol: str = "A") -> list[str]:
    return [bar.value.decode() for bar in queries.bars(queries.symbol("fx", symbol, frame), 0, 1 << 60, 10_000)]


def history(queries: Queries, start: int, frame: str = "", symbol: str = "A") -> list[str]:
    (place,) = queries.symbol("fx", symbol, frame)
    return [bar.value.decode() for bar in queries.versions(place, start, 1_000)]


def cut_off(versions: list[BarRow]) -> Iterator[BarRow]:
    yield from versions
    raise OSError("cut off")


@settings(max_examples=examples(check=30, full=100, thorough=1_000))
@given(
    versions=st.lists(
        st.builds(version, st.integers(0, 3), st.integers(0, 4), st.sampled_from(("", *FRAMES)), st.sampled_from("AB")),
        min_size=1,
        max_size=40,
    ),
    cuts=st.dictionaries(st.integers(1, 39), st.sampled_from(("", "fails", "opened again"))),
    kept=st.tuples(st.integers(1, 4), st.integers(0, 4)),
)
def test_the_newest_version_counts_in_any_order_and_the_others_are_its_history(
    tmp_path_factory: pytest.TempPathFactory, versions: list[BarRow], cuts: dict[int, str], kept: tuple[int, int]
) -> None:
    path = tmp_path_factory.mktemp("v") / "model.sqlite"
    store = Store(path, IDENTITY, 1_000, FRAMES)
    best: dict[tuple[str, str, int], int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.readmodel.newest.MAX_SERIES", kept[0])
        patch.setattr("app.readmodel.newest.MAX_SYMBOLS", kept[1])
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(versions)], strict=True):
            if cuts.get(begin) == "opened again":
                store.close()
                store = Store(path, IDENTITY, 1_000, FRAMES)
            elif cuts.get(begin) == "fails":
                with pytest.raises(OSError, match="cut off"):
                    store.add(cut_off([version(9, 0), *versions[begin:end]]), [], {})
            announced = store.add(versions[begin:end], [], {})
            expected = []
            for row in versions[begin:end]:
                window = row.symbol, row.frame, row.start
                if row.revision >= best.get(window, 0):
                    best[window] = row.revision
                    expected.append(row)
            assert announced == expected
    queries = Queries(path)
    for symbol, frame in {(symbol, frame) for symbol, frame, _ in best}:
        starts = sorted({start for *of, start in best if of == [symbol, frame]}, reverse=True)
        assert newest(queries, frame, symbol) == [f"{frame} {start} {best[symbol, frame, start]}" for start in starts]
        for start in starts:
            seen = {row.revision for row in versions if (row.symbol, row.frame, row.start) == (symbol, frame, start)}
            expected_history = [f"{frame} {start} {revision}" for revision in sorted(seen, reverse=True)]
            assert history(queries, start, frame, symbol) == expected_history
    store.close()
    queries.close()


def test_what_was_forgotten_is_looked_up_among_the_bars_that_are_not_written_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.readmodel.newest.MAX_SERIES", 1)  # so the second series makes it forget the first
    store = Store(tmp_path / "model.sqlite", IDENTITY, 1_000, FRAMES)
    announced = store.add([version(1, 1), version(1, 0, "5m"), version(1, 0)], [], {})
    assert announced == [version(1, 1), version(1, 0, "5m")]
    assert newest(Queries(tmp_path / "model.sqlite")) == [" 1 1"]
    store.close()


def test_few_symbols_are_kept_however_many_series_and_symbols_there_are() -> None:
    newest = NewestBars(lambda _: Newest(-1, set()))
    series = [("fx", partition, frame) for partition in range(12) for frame in range(7)]
    each = range(MAX_SYMBOLS // len(series) * 2)
    promised = [sum(newest.add(one, symbol_id, start) for symbol_id in each) for start in range(2) for one in series]
    assert promised.count(len(each)) >= len(series), "half of the series are kept whole, at each start"
    kept = [len(each.symbols or ()) for each in newest._of.values()]
    assert MAX_SYMBOLS // 2 < sum(kept) == newest._symbols <= MAX_SYMBOLS


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_bar_does_not_go_back_when_its_newest_version_is_deleted_before_an_older_one(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    store = Store(tmp_path / "model.sqlite", IDENTITY, 10, FRAMES)
    queries = Queries(tmp_path / "model.sqlite")
    store.add([version(1, revision) for revision in order], [], {})
    store.add([version(2 + number, 0) for number in range(9)], [], {})
    assert " 1 0" not in newest(queries), "revision 0 must not be shown once revision 1 is gone"
    assert " 1 0" not in history(queries, 1), "nor be taken for the newest one"
    assert queries.incomplete()
    store.close()
    queries.close()


def test_each_frame_keeps_its_own_newest_bars(tmp_path: Path) -> None:
    store = Store(tmp_path / "model.sqlite", IDENTITY, 10, FRAMES)
    queries = Queries(tmp_path / "model.sqlite")
    store.add([version(1, 0, "1h"), version(1, 0, "5m")], [], {})
    for number in range(50):
        store.add([version(number, 0)], [], {})
    assert newest(queries, "1h") == ["1h 1 0"]
    assert newest(queries) == [f" {number} 0" for number in range(49, 39, -1)]
    assert (queries.incomplete(), queries.incomplete("1h")) == (True, False)
    assert not queries.none_kept(queries.symbol("fx", "A", "1h"), "1h")
    assert [place.oldest_kept for place in queries.symbol("fx", "A")] == [40]
    assert [one.last_start for one in queries.symbols("A", None, "", 9)] == [49]
    assert queries.extent() == (12, 1)
    assert [bar.value for bar in queries.newest_bars(None, None, 2).bars] == [b" 49 0", b" 48 0"]
    assert [bar.value for bar in queries.newest_bars(None, "A", 2, "1h").bars] == [b"1h 1 0"]
    store.close()
    queries.close()


def test_a_symbol_stays_while_any_frame_has_a_bar_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "model.sqlite", IDENTITY, 10, FRAMES)
    queries = Queries(tmp_path / "model.sqlite")
    store.add([version(1, 0, "1h"), version(1, 0)], [], {})
    store.add([version(number, 0, symbol="B") for number in range(20)], [], {})
    assert newest(queries, "1h") == ["1h 1 0"]
    assert newest(queries) == []
    assert queries.none_kept(queries.symbol("fx", "A"))
    assert not queries.none_kept(queries.symbol("fx", "A", "1h"), "1h")
    store.close()
    queries.close()


def test_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        store = Store(tmp_path / "model.sqlite", IDENTITY, 10, FRAMES)
        assert not store.recreated
        store.add([version(number, 0), version(number, 0, "5m"), version(number, 0, "1h")], [], {})
        store.close()
    queries = Queries(tmp_path / "model.sqlite")
    assert newest(queries, "5m") == ["5m 2 0", "5m 1 0", "5m 0 0"]
    assert queries.extent() == (9, 1)
    queries.close()


def test_bars_of_one_window_in_two_partitions_are_counted_once_however_often_they_are_revised(tmp_path: Path) -> None:
    store = Store(tmp_path / "model.sqlite", IDENTITY, 100, FRAMES)
    store.add([version(1, 0), version(1, 0, partition=1), version(1, 0, "1h"), version(1, 0, "1h", partition=1)], [], {})
    store.add([version(1, 1), version(1, 1, partition=1), version(1, 2, partition=1)], [], {})
    doubled = store.doubled()
    assert doubled is not None
    assert (doubled.bars, doubled.partitions) == (1, (0, 1))
    store.close()


@pytest.mark.parametrize("change", ["version", "frames"])
def test_a_file_of_another_version_or_with_other_frames_is_made_anew(tmp_path: Path, change: str) -> None:
    path = tmp_path / "model.sqlite"
    store = Store(path, IDENTITY, 100, FRAMES)
    store.add([version(1, 0)], [], {("t", 0): 5})
    store.close()
    if change == "version":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE meta SET value = ? WHERE name = 'version'", (str(VERSION - 1),))
        connection.close()
    again = Store(path, IDENTITY, 100, FRAMES if change == "version" else FRAMES[:1])
    assert again.recreated
    assert again.positions() == {}
    again.close()
