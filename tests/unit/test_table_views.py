"""The views of the engines' state: what they hold, and that nobody writes to them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import faust
import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.driver.tables import ReadOnlyTable, ViewTableManager
from tables.config import EngineConfig
from tables.engine import Engine
from tables.views import OpenWindowsView, StreamTimesView
from tests.unit.model import Wire

T0 = 1_399_248_000_000
MINUTE = 60_000


def engine_of(ticks: list[tuple[int, str]], scope: str) -> Engine:
    engine = Engine(EngineConfig(scope=scope, grace=10 * MINUTE))
    engine.feed([Wire(n, T0, key.encode(), b'{"ts":%d,"bid":1.%d}' % (ts, n + 1)) for n, (ts, key) in enumerate(ticks)])
    return engine


@given(
    ticks=st.lists(st.tuples(st.integers(T0 - 5 * MINUTE, T0), st.sampled_from(["A|x", "A|y", "B|x"])), max_size=20),
    scope=st.sampled_from(["broker", "symbol", "partition"]),
)
def test_the_view_holds_each_open_window_once_under_the_key_of_its_bar(ticks: list[tuple[int, str]], scope: str) -> None:
    engines = [engine_of(ticks[::2], scope), engine_of([(ts, f"{key}{key[-1]}") for ts, key in ticks[1::2]], scope)]
    view = OpenWindowsView(lambda: engines)
    expected = {f"{key}|{ts // MINUTE * MINUTE}" for ts, key in ticks[::2]}
    expected |= {f"{key}{key[-1]}|{ts // MINUTE * MINUTE}" for ts, key in ticks[1::2]}
    assert set(view) == expected
    assert len(view) == len(expected)
    for key, bar in view.items():
        assert key == f"{bar['broker']}|{bar['symbol']}|{bar['bucket_start']}"
        assert bar["low"] <= bar["open"] <= bar["high"]
    assert sum(bar["ticks"] for bar in view.values()) == len(ticks)


@pytest.mark.parametrize("key", ["A|x", "A|x|17", "", "|", "A|x|1399248000000|", b"A|x"])
def test_a_key_of_no_open_window_is_missing(key: Any) -> None:
    view = OpenWindowsView(lambda: [engine_of([(T0, "A|x")], "broker")])
    assert key not in view
    with pytest.raises(KeyError):
        view[key]


def test_of_a_broker_in_two_partitions_the_later_stream_time_is_shown() -> None:
    view = StreamTimesView(
        lambda: [engine_of([(T0, "A|x")], "broker"), engine_of([(T0 - 7, "A|y"), (T0 - 9, "B|y")], "broker")]
    )
    assert dict(view) == {"A": T0, "B": T0 - 9}
    with pytest.raises(KeyError):
        view["C"]


@pytest.mark.parametrize(
    "write",
    [
        lambda table: table.__setitem__("k", 1),
        lambda table: table.update({"k": 1}),
        lambda table: table.pop("k"),
        lambda table: table.clear(),
        lambda table: table.setdefault("new", 1),
    ],
    ids=["set", "update", "pop", "clear", "setdefault"],
)
def test_a_read_only_table_refuses_every_way_to_write(write: Callable[[Any], object]) -> None:
    app = faust.App("views", broker="kafka://127.0.0.1:1", TableManager=ViewTableManager)
    rows = {"k": Decimal("1.5")}
    table = ReadOnlyTable(app, rows, name="shown", help="What it shows.")
    app.tables.add_view(table)  # type: ignore[attr-defined]  # see above
    listed: Any = app.tables["shown"]
    assert listed["k"] == Decimal("1.5")
    with pytest.raises(TypeError, match="table shown is read-only"):
        write(table)
    assert rows == {"k": Decimal("1.5")}
    assert not app.tables.changelog_topics, "Faust would recover it"
    assert not app.tables, "Faust would take its way through the recovery of tables at each rebalance"


async def test_what_faust_does_to_its_tables_at_a_start_and_a_rebalance_leaves_the_rows_alone() -> None:
    app = faust.App("views", broker="kafka://127.0.0.1:1", store="memory://", TableManager=ViewTableManager)
    view = OpenWindowsView(lambda: [engine_of([(T0, "A|x")], "broker")])
    table = ReadOnlyTable(app, view, name="shown", help="What it shows.")
    here = {TP("ticks", 0)}
    await table.on_start()
    await table.on_rebalance(here, set(), here, 1)
    await table.on_recovery_completed(here, set())
    await table.call_recover_callbacks()
    table.apply_changelog_batch([])
    table.reset_state()
    assert list(table) == list(table.keys()) == [key for key, _ in table.items()] == [f"A|x|{T0}"]
    assert len(table) == 1
    assert f"A|x|{T0}" in table
    assert table.get(f"A|x|{T0}")["ticks"] == 1
    assert [row["ticks"] for row in table.values()] == [1]
