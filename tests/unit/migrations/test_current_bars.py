"""The shipped table of current bars never goes back, in whatever order ksqlDB reads the two topics.

The stand-in checks statements and has no rows. So the query runs in SQLite here, as the plan sends it. Its expressions are
plain SQL but for LATEST_BY_OFFSET, which is the last value that is not NULL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ksqldb.boot import load_plan
from app.settings import Settings
from migrations.shipped.finals import Events

VALUES = [name for name, column in Events.columns().items() if not column.key]
Version = dict[str, Any]


class Latest:
    """LATEST_BY_OFFSET."""

    def __init__(self) -> None:
        self.value: Any = None

    def step(self, value: Any) -> None:
        self.value = self.value if value is None else value

    def finalize(self) -> Any:
        return self.value


def query_of(name: str) -> str:
    """The SELECT of a table of the shipped plan."""
    plan = load_plan(Settings.load(topics_prefix="", late_policy="correct", frames="1h"), None)
    (text,) = (statement.text for statement in plan.statements if statement.name == name)
    return text[text.index("SELECT") : text.index("GROUP BY")]  # there is one bar, and without GROUP BY its rows are in order


def shown(query: str, source: str, versions: list[Version]) -> Iterator[Version]:
    """The row of the table after each version of a bar."""
    names = [*Events.columns()]
    with sqlite3.connect(":memory:") as database:
        database.create_aggregate("LATEST_BY_OFFSET", 1, Latest)
        database.execute(f"CREATE TABLE {source} ({', '.join(names)})")
        for version in versions:
            database.execute(f"INSERT INTO {source} VALUES ({', '.join('?' for _ in names)})", ["A", "x", 0, *version.values()])
            (row,) = database.execute(query)
            yield dict(zip(VALUES, row[3:], strict=True))
    database.close()


def version(revision: int, *, sized: bool) -> Version:
    """All its values are its own, so that a row of two versions would be seen."""
    told: Version = {name: f"{name} of {revision}" for name in VALUES} | {"revision": revision}
    return told if sized else told | {"volume": None, "vwap": None}


@st.composite
def logs(draw: st.DrawFn) -> list[Version]:
    """Finals, which may come twice, and revisions in order: each topic has its order, and any may be read before the other."""
    sized_from = draw(st.integers(0, 5))  # the revision with the first tick that has a quantity
    finals = [0] * draw(st.integers(0, 2))  # a window whose first tick was late has none
    revisions = list(range(1, draw(st.integers(0 if finals else 1, 4)) + 1))
    order = draw(st.permutations([True] * len(finals) + [False] * len(revisions)))
    of = {True: iter(finals), False: iter(revisions)}
    numbers = (next(of[kind]) for kind in order)
    return [version(number, sized=number >= sized_from) for number in numbers]


@pytest.mark.parametrize("window", ["1m", "1h"])
@settings(max_examples=100, deadline=None)
@given(log=logs())
def test_a_current_bar_is_the_highest_revision_that_was_read_whole(window: str, log: list[Version]) -> None:
    query = query_of(f"BAR_{window.upper()}_CURRENT")
    highest = log[0]
    for one, row in zip(log, shown(query, f"bar_{window}_versions", log), strict=True):
        highest = one if one["revision"] >= highest["revision"] else highest
        assert row == highest


def test_a_table_of_the_latest_record_would_go_back() -> None:
    """Why the query is not simpler, and that this test would see it."""
    query = query_of("BAR_1M_ALL").replace("bar_1m_events", "bar_1m_versions")
    rows = shown(query, "bar_1m_versions", [version(1, sized=True), version(0, sized=True)])
    assert [row["revision"] for row in rows] == [1, 0]
