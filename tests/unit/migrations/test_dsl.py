"""KSQL as typed Python: what it renders, what it refuses, and that a wrong column is a type error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.migrating import load_plan
from app.settings import Settings
from migrations import plan_files
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Expression, Key, literal
from migrations.ksql.functions import WINDOWSTART, average, case, cast, count, latest, total
from migrations.ksql.normal import normal_form, split
from migrations.ksql.queries import Emit, Joining, Select, select, session, tumbling
from migrations.ksql.sources import JSON_KEY, Insert, SourceType, Stream, Table, delimited
from migrations.ksql.types import ARRAY, BIGINT, DECIMAL, DOUBLE, MAP, STRING, STRUCT, SqlType
from migrations.plans import bar1m
from tests.support.worker import ROOT

DATA = Path(os.environ.get("BARWHEEL_TEST_DATA") or Path(__file__).parents[4] / "shared") / "ksqldb"
GOLDEN = Path(__file__).parent / "golden"
PLANS = Path(plan_files.__file__).parent / "plans"


class Ticks(Stream, name="t", topic="t", key=delimited("|"), value="JSON"):
    """To be read from."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bid = Column(DECIMAL(18, 8))
    n = Column(BIGINT)


class Names(Table, name="names", topic="names", value="JSON"):
    """To be joined."""

    symbol = Key(STRING)
    long = Column(STRING)


class Windows(Table, name="w", key=JSON_KEY, query=(
    select(Ticks.broker, count().as_("n")).from_(Ticks).window(tumbling("1 MINUTE")).group_by(Ticks.broker)
)):  # fmt: skip
    """A windowed table."""

    broker = Key(STRING)
    n = Column(BIGINT)


# ---- the shipped plans


@pytest.mark.parametrize(("name", "path"), [("running", None), ("bar1m", PLANS / "bar1m.yaml")])
def test_the_shipped_plans_are_as_they_were_when_last_looked_at(name: str, path: Path | None) -> None:
    """After a change that is meant: python -m app migrate print [--plan ..] > tests/unit/migrations/golden/NAME.ksql."""
    plan = load_plan(Settings(_env_file=None), path)  # type: ignore[call-arg]  # pydantic-settings' own
    text = "\n\n".join(statement.text for statement in plan.statements) + "\n"
    assert text == (GOLDEN / f"{name}.ksql").read_text(encoding="utf-8")


def test_the_plan_as_text_is_the_plan_as_code() -> None:
    assert (PLANS / "bar1m.yaml").read_text(encoding="utf-8") == bar1m.as_yaml()


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no accepted statements in {DATA}")
def test_the_plan_that_computes_the_bars_is_the_one_that_a_server_was_seen_to_take() -> None:
    """But for its names, the input's time, which is called ts here, and SELECT *, which is spelt out."""
    taken = [normal_form(statement) for statement in split((DATA / "final_set.ksql").read_text(encoding="utf-8"))]
    variables = {"prefix": "", "topics": "", "ticks": "ticks.v1", "partitions": "6"}
    plan = plan_files.load(PLANS / "bar1m.yaml", variables)
    columns = ", ".join(bar1m.Final.columns())
    for ours, theirs in zip(plan.statements, taken, strict=True):
        renamed = theirs.replace("_V1", "").replace("TS_UTC", "TS").replace("ts_utc", "ts")
        for topic in ("bar_1m_w", "bar_1m_events", "bar_1m_final", "bar_1m_final_q"):
            renamed = renamed.replace(f"'{topic}.v1'", f"'{topic}'")
        renamed = renamed.replace("SELECT *", f"SELECT {normal_form(columns)}").replace(
            " PARTITIONS = 6 ,", "", "TICKS (" in renamed
        )
        assert normal_form(ours.text) == renamed


# ---- rendering


def test_every_part_of_a_query_has_its_place() -> None:
    query = (
        select(Ticks.broker, Names.long, (Ticks.bid * 2).as_("twice"))
        .from_(Ticks)
        .join(Names, Ticks.symbol == Names.symbol, how=Joining.left)
        .where((Ticks.bid > 1) & ~(Ticks.n == 0))
        .partition_by(Ticks.broker)
    )

    class Joined(Stream, name="joined", key=delimited("|"), query=query, options={"REPLICAS": 1}):
        broker = Key(STRING)
        long = Column(STRING)
        twice = Column(DECIMAL(28, 8))

    assert str(Joined) == (
        "CREATE STREAM joined WITH (\n  KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', REPLICAS=1\n) AS\n"
        "SELECT\n  t.broker, names.long, t.bid * 2 AS twice\nFROM t\n"
        "LEFT JOIN names ON t.symbol = names.symbol\nWHERE (t.bid > 1 AND NOT (t.n = 0))\nPARTITION BY t.broker\nEMIT CHANGES;"
    )


def test_brackets_stand_where_they_mean_something() -> None:
    n, bid = Ticks.n, Ticks.bid
    assert str((n + 1) * 2) == "(n + 1) * 2"
    assert str(n + bid * 2) == "n + bid * 2"
    assert str(n - (n - 1)) == "n - (n - 1)"
    assert str(n - n - 1) == "n - n - 1"


def test_types_with_parts() -> None:
    kinds = [DECIMAL(18, 8), STRUCT(a=BIGINT, b=STRING), ARRAY(BIGINT), MAP(STRING, DOUBLE)]
    assert [str(kind) for kind in kinds] == [
        "DECIMAL(18,8)",
        "STRUCT<a BIGINT, b STRING>",
        "ARRAY<BIGINT>",
        "MAP<STRING, DOUBLE>",
    ]


operands = st.sampled_from([Ticks.n, Ticks.bid, Ticks.n + 1]) | st.integers(0, 99)
expressions = st.recursive(
    st.sampled_from([Ticks.n, Ticks.bid]),
    lambda inner: (
        st.builds(lambda a, b: a + b, inner, operands)
        | st.builds(lambda a, b: a - b, inner, operands)
        | st.builds(lambda a: cast(a, DOUBLE), inner)
        | st.builds(lambda a, b: case((a > 1, cast(b, DOUBLE)), otherwise=cast(a, DOUBLE)), inner, inner)
    ),
    max_leaves=8,
)


@given(items=st.lists(expressions, min_size=1, max_size=5), grouped=st.booleans())
def test_what_is_rendered_is_read_back_as_one_statement_of_the_same_tokens(items: list[Expression], *, grouped: bool) -> None:
    named = [item.as_(f"c{number}") for number, item in enumerate(items)]
    query = select(*named).from_(Ticks)
    if grouped:
        named = [latest(item).as_(f"c{number}") for number, item in enumerate(items)]
        query = select(*named).from_(Ticks).window(session("5 MINUTES")).group_by(Ticks.broker, Ticks.symbol)
    columns = {f"c{number}": Column(item.kind) for number, item in enumerate(items)}
    made = SourceType("Made", (Table if grouped else Stream,), columns, query=query, topic="it's")
    text = str(made)
    assert text == str(made)
    assert split(text) == [text]
    assert normal_form(" ".join(text.split())) == normal_form(text)


# ---- refusing


def source(base: type, columns: dict[str, Column], **options: object) -> SourceType:
    """A class made now."""
    return SourceType("Made", (base,), columns, **options)  # as a test gives them


def stream_of(query: Select, *kinds: SqlType) -> SourceType:
    """A stream of a query, with columns as it gives them."""
    columns = {name: Column(kind) for (name, _), kind in zip(query.columns, kinds, strict=True)}
    return source(Stream, columns, query=query)


def two_keys() -> dict[str, Column]:
    return {"a": Key(STRING), "b": Key(STRING)}


REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: source(Stream, two_keys(), topic="t", value="JSON"),
        r"KAFKA key format takes one column, not a, b; say key=delimited",
    ),
    (lambda: source(Stream, {"size": Column(BIGINT)}, topic="t", value="JSON"), r"Made.size: size is a reserved word"),
    (lambda: source(Stream, {"a-b": Column(BIGINT)}, topic="t", value="JSON"), r"a-b: a name is made of letters"),
    (
        lambda: source(Stream, {}, topic="t", value="JSON", options={"CLEANUP_POLICY": "compact"}),
        r"CLEANUP_POLICY is the server's",
    ),
    (lambda: source(Stream, {}, topic="t", value="JSON", timestamp="ts"), r"timestamp=ts: no column of that name"),
    (lambda: source(Stream, {}, topic="t"), r"needs topic= and value="),
    (lambda: source(Table, {"a": Column(BIGINT)}, topic="t", value="JSON"), r"a table needs a primary key"),
    (lambda: stream_of(select(Names.long).from_(Ticks), STRING), r"names.long is no column of t; join names, or leave it out"),
    (lambda: stream_of(select(Ticks.n), BIGINT), r"reads from nothing"),
    (lambda: stream_of(select(count().as_("n")).from_(Ticks).group_by(Ticks.broker), BIGINT), r"GROUP BY gives a table"),
    (lambda: stream_of(select(count().as_("n")).from_(Ticks), BIGINT), r"an aggregate or a window needs .group_by"),
    (lambda: stream_of(select(Ticks.n).from_(Ticks), STRING), r"Made.n is declared STRING and its query gives BIGINT: cast it"),
    (
        lambda: source(Stream, {"m": Column(BIGINT)}, query=select(Ticks.n).from_(Ticks)),
        r"it declares m, and its query gives n",
    ),
    (lambda: stream_of(select(Windows.n).from_(Windows), BIGINT), r"w is a windowed table, of which no query can be kept"),
    (lambda: source(Table, {"n": Column(BIGINT)}, query=select(Ticks.n).from_(Ticks)), r"without GROUP BY gives a stream"),
    (
        lambda: source(
            Table,
            {"n": Column(BIGINT), "c": Column(BIGINT)},
            query=select(Ticks.n, count().as_("c")).from_(Ticks).group_by(Ticks.broker),
        ),
        r"n: t.n is neither grouped by nor aggregated",
    ),
    (lambda: select(WINDOWSTART).columns, r"WINDOWSTART is reserved in a SELECT: give it a name"),
    (lambda: select(count()).columns, r"COUNT\(\*\) has no name"),
    (
        lambda: source(
            Table, {"c": Column(BIGINT)}, query=select(count().as_("c")).from_(Ticks).group_by(Ticks.broker).emit(Emit.final)
        ),
        r"EMIT FINAL is for windows",
    ),
    (
        lambda: source(
            Table,
            {"c": Column(BIGINT)},
            key=JSON_KEY,
            query=select(count().as_("c"))
            .from_(Ticks)
            .window(tumbling("1 MINUTE", grace="5 SECONDS"))
            .group_by(Ticks.broker)
            .emit(Emit.final),
        ),
        r"EMIT FINAL loses the windows .* \(left out: size and grace\); say retention='7 DAYS'",
    ),
    (lambda: total(Ticks.bid), r"SUM\(bid\) keeps DECIMAL\(18,8\) and overflows.*cast\(t.bid, DECIMAL\(28,8\)\)"),
    (lambda: average(Ticks.bid), r"AVG\(bid\) does not take DECIMAL\(18,8\)"),
    (lambda: total(Ticks.broker), r"SUM\(broker\): t.broker is STRING; it takes numbers"),
    (lambda: Ticks.bid / Ticks.bid, r"of two DECIMALs the server makes NULL"),
    (lambda: Ticks.broker * 2, r"t.broker is STRING: \* takes numbers"),
    (lambda: Ticks.broker == 1, r"t.broker is STRING, 1 is BIGINT: = cannot compare them"),
    (lambda: 1 < Ticks.n < 3, r"use & \| ~ and brackets"),
    (
        lambda: literal(1.5),  # type: ignore[arg-type]  # what a checker would say
        r"1.5: a number in a statement is an int",
    ),
    (lambda: DECIMAL(40, 2), r"DECIMAL\(40,2\): 1 to 38 digits"),
    (lambda: case((Ticks.n == 1, Ticks.n), otherwise=Ticks.broker), r"CASE gives BIGINT and STRING"),
    (lambda: tumbling("soon"), r"soon: is not a duration"),
    (lambda: tumbling("1 MINUTE", retention="30 SECONDS"), r"RETENTION 30 SECONDS: must be at least"),
    (lambda: Insert(Names, select(Names).from_(Names), query_id="Q"), r"INSERT INTO names: it is a table"),
    (
        lambda: Insert(Ticks, select(Ticks.broker).from_(Ticks), query_id="Q"),
        r"declares broker, symbol, bid, n, and its query gives broker",
    ),
    (
        lambda: stream_of(select(Ticks.n).from_(Ticks).join(Ticks, Ticks.n == 1), BIGINT),
        r"two streams are joined within a time",
    ),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_a_server_would_refuse_or_lose_data_by_is_refused_with_the_remedy(make: Callable[[], object], said: str) -> None:
    with pytest.raises(KsqlError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_wrong_column_is_a_type_error(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from migrations.ksql.functions import maximum\nfrom migrations.served import Ticks\n\n"
        "maximum(Ticks.bid)\nmaximum(Ticks.bit)\n"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(tmp_path),
        str(wrong),
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    errors = [line for line in found.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert 'wrong.py:5: error: "type[Ticks]" has no attribute "bit"' in errors[0]
