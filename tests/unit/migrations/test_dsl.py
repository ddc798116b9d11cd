"""KSQL as typed Python: what it renders, what it refuses, and that a wrong column is a type error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ksqldb.boot import load_plan
from app.settings import Settings
from migrations import plan_files
from migrations.ksql.decimals import PRICE, decimals
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Expression, Key, literal
from migrations.ksql.functions import WINDOWSTART, as_value, average, case, cast, count, latest, maximum, total
from migrations.ksql.lexer import tokenize
from migrations.ksql.normal import normal_form, split
from migrations.ksql.queries import Emit, Joining, Select, select, session, tumbling
from migrations.ksql.sources import JSON_KEY, NO_KEY, Insert, SourceType, Stream, Table, delimited
from migrations.ksql.types import ARRAY, BIGINT, BOOLEAN, DECIMAL, DOUBLE, INTEGER, MAP, STRING, STRUCT, SqlType
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


class Other(Stream, name="o", topic="o", value="JSON"):
    """To be joined within a time."""

    symbol = Key(STRING)
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
    """But for names, the input's time, which is ts here, SELECT *, which is spelt out, and heartbeats, which are no ticks."""
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
        counted = normal_form(ours.text).replace("COUNT ( BID )", "COUNT ( * )").replace(" WHERE N > 0", "")
        assert counted == renamed


def accepted(recording: str, name: str) -> str:
    """The statement by which a real server made that."""
    for line in (DATA / "transcripts" / recording).read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        text = (exchange.get("request") or {}).get("body", {}).get("ksql", "")
        if f" {name} " in text and exchange["response"]["body"][0].get("commandStatus", {}).get("status") == "SUCCESS":
            return str(text)
    raise AssertionError(f"{recording}: {name} was not made")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no accepted statements in {DATA}")
def test_what_reads_the_applications_bars_is_said_as_a_server_was_seen_to_take_it() -> None:
    class Mispartitioned(Stream, name="mp_events", topic="mp.bars", key=delimited("|"), value="JSON"):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        bucket_end = Column(BIGINT)
        o = Column(DOUBLE)

    grouped = (
        select(*Mispartitioned.keys(), *(latest(one).as_(one.name) for one in (Mispartitioned.o, Mispartitioned.bucket_end)))
        .from_(Mispartitioned)
        .group_by(Mispartitioned.broker, Mispartitioned.symbol, Mispartitioned.bucket_start)
    )

    class Grouped(Table, name="mp_group", topic="mp.group", partitions=6, key=delimited("|"), value="JSON", query=grouped):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        o = Column(DOUBLE)
        bucket_end = Column(BIGINT)

    anew = Mispartitioned.broker + ""
    expressed = (
        select(anew.as_("broker"), *list(Mispartitioned.columns().values())[1:])
        .from_(Mispartitioned)
        .partition_by(anew, Mispartitioned.symbol, Mispartitioned.bucket_start)
    )

    class Expressed(Stream, name="mp_expr", topic="mp.expr", partitions=6, key=delimited("|"), value="JSON", query=expressed):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        bucket_end = Column(BIGINT)
        o = Column(DOUBLE)

    class Bars(Stream, name="bars_1m_final_s", topic="bars.1m.final", key=delimited("|"), value="JSON"):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        bucket_end = Column(BIGINT)
        o = Column(DECIMAL(18, 8))
        h = Column(DECIMAL(18, 8))
        l = Column(DECIMAL(18, 8))  # noqa: E741  # low
        c = Column(DECIMAL(18, 8))
        volume = Column(DECIMAL(28, 8))
        vwap = Column(DECIMAL(18, 8))
        n = Column(BIGINT)

    newest = (
        select(
            *(Bars.broker, Bars.symbol),
            *(latest(one).as_(one.name) for one in (Bars.bucket_start, Bars.o, Bars.h, Bars.l, Bars.c)),
            maximum(Bars.bucket_start).as_("max_bucket"),
            count().as_("bars"),
        )
        .from_(Bars)
        .group_by(Bars.broker, Bars.symbol)
    )

    class Newest(
        Table, name="bars_1m_latest", topic="bars.1m.latest", partitions=6, key=delimited("|"), value="JSON", query=newest
    ):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Column(BIGINT)
        o = Column(DECIMAL(18, 8))
        h = Column(DECIMAL(18, 8))
        l = Column(DECIMAL(18, 8))  # noqa: E741  # low
        c = Column(DECIMAL(18, 8))
        max_bucket = Column(BIGINT)
        bars = Column(BIGINT)

    taken = {
        "29_mispartitioned_source.jsonl": (Mispartitioned, Grouped, Expressed),
        "05_python_writes_bars.jsonl": (Bars, Newest),
    }
    for recording, sources in taken.items():
        for made in sources:
            assert normal_form(str(made)) == normal_form(accepted(recording, made.ksql_name))


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
        twice = Column(DECIMAL(29, 8))

    assert str(Joined) == (
        "CREATE STREAM joined WITH (\n  KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', REPLICAS=1\n) AS\n"
        "SELECT\n  t.broker, names.long, t.bid * 2 AS twice\nFROM t\n"
        "LEFT JOIN names ON t.symbol = names.symbol\nWHERE (t.bid > 1 AND NOT (t.n = 0))\nPARTITION BY t.broker\nEMIT CHANGES;"
    )


def test_numbers_may_stand_before_columns_and_a_type_may_be_a_variable() -> None:
    assert [str(one) for one in (2 * Ticks.n, 1 - Ticks.n, 1 + Ticks.n, 6 / Ticks.n)] == ["2 * n", "1 - n", "1 + n", "6 / n"]
    assert str(cast(Ticks.bid, PRICE) * 2) == "CAST(bid AS ${price}) * 2"


def test_the_digits_of_the_shipped_plans_hold_what_they_must() -> None:
    assert decimals(18, 8) == {"price": "DECIMAL(18,8)", "sum": "DECIMAL(28,8)", "notional": "DECIMAL(37,16)"}
    assert decimals(28, 18) == {"price": "DECIMAL(28,18)", "sum": "DECIMAL(38,18)", "notional": "DECIMAL(38,18)"}
    assert decimals(9, 0) == {"price": "DECIMAL(9,0)", "sum": "DECIMAL(19,0)", "notional": "DECIMAL(19,0)"}


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


def test_parts_of_columns_have_their_types() -> None:
    parts = [
        Column(STRUCT(a=STRUCT(b=DOUBLE)), "s")["a"]["b"],
        Column(ARRAY(BIGINT), "list")[-1],
        Column(MAP(STRING, STRING), "m")["it's"],
    ]
    assert [str(part) for part in parts] == ["s->a->b", "list[-1]", "m['it''s']"]
    assert [part.kind for part in parts] == [DOUBLE, BIGINT, STRING]


def test_a_number_has_the_digits_that_the_server_gives_it() -> None:
    bid, n = Ticks.bid, Ticks.n
    assert [str(one.kind) for one in (bid * bid, bid * n, bid * 2, bid + n, bid - 1, n + 1, n * 2, bid * cast(n, DOUBLE))] == [
        *("DECIMAL(37,16)", "DECIMAL(38,8)", "DECIMAL(29,8)", "DECIMAL(28,8)", "DECIMAL(19,8)", "BIGINT", "BIGINT", "DOUBLE")
    ]


def test_a_long_case_stands_on_several_lines() -> None:
    long = case((Ticks.n == 0, cast("x" * 50, STRING)), (Ticks.n == 1, cast("y" * 50, STRING)), otherwise=Ticks.symbol)
    columns = {"broker": Key(STRING), "symbol": Key(STRING), "c": Column(STRING), "n": Column(BIGINT)}
    query = select(Ticks.broker, Ticks.symbol, long.as_("c"), Ticks.n).from_(Ticks)
    assert str(source(Stream, columns, query=query)).splitlines()[1:9] == [
        "SELECT",
        "  broker, symbol,",
        "  CASE",
        f"    WHEN n = 0 THEN CAST('{'x' * 50}' AS STRING)",
        f"    WHEN n = 1 THEN CAST('{'y' * 50}' AS STRING)",
        "    ELSE symbol",
        "  END AS c,",
        "  n",
    ]


def test_conditions_about_conditions_and_nothing() -> None:
    yes = Column(BOOLEAN, "yes")
    assert str(yes == (Ticks.n > 1)) == "yes = (n > 1)"
    assert str(~Ticks.bid.is_null() | Ticks.n.one_of(1, 2)) == "(NOT (bid IS NULL) OR n IN (1, 2))"


def test_two_streams_are_joined_within_a_time_and_a_grace() -> None:
    query = (
        select(Ticks.symbol, as_value(Other.symbol).as_("other"), Ticks.n)
        .from_(Ticks)
        .join(Other, Ticks.symbol == Other.symbol, within="10 SECONDS", grace="1 SECOND")
    )
    made = source(Stream, {"symbol": Key(STRING), "other": Column(STRING), "n": Column(BIGINT)}, key=JSON_KEY, query=query)
    assert "\nINNER JOIN o WITHIN 10 SECONDS GRACE PERIOD 1 SECOND ON t.symbol = o.symbol\n" in str(made)


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


conditions = st.recursive(
    st.builds(lambda a, b: a > b, expressions, operands)
    | st.builds(lambda text: Ticks.broker == text, st.text())
    | st.builds(lambda first, more: Ticks.symbol.one_of(first, *more), st.text(), st.lists(st.text(), max_size=2))
    | st.builds(Expression.is_not_null, expressions),
    lambda inner: st.builds(lambda a, b: a & b, inner, inner) | st.builds(lambda a: ~a, inner),
    max_leaves=4,
)


@given(items=st.lists(expressions, min_size=1, max_size=5), condition=conditions, grouped=st.booleans())
def test_what_is_rendered_is_read_back_as_one_statement_of_the_same_tokens(
    items: list[Expression], condition: Expression, *, grouped: bool
) -> None:
    named = [(latest(item) if grouped else item).as_(f"c{number}") for number, item in enumerate(items)]
    query = select(Ticks.broker, Ticks.symbol, *named).from_(Ticks).where(condition)
    if grouped:
        query = query.window(session("5 MINUTES")).group_by(Ticks.broker, Ticks.symbol)
    columns = {f"c{number}": Column(item.kind) for number, item in enumerate(items)}
    keys = {"broker": Key(STRING), "symbol": Key(STRING)}
    made = SourceType("Made", (Table if grouped else Stream,), keys | columns, query=query, topic="it's")
    text = str(made)
    assert text == str(made)
    assert split(text) == [text]
    assert [token.text for token in tokenize(text)] == words(text)


def words(text: str) -> list[str]:
    """The tokens as a second, simpler reader finds them; it is enough for what is rendered."""
    return re.findall(r"'(?:[^']|'')*'|\w+|->|<>|<=|>=|[^\s\w]", text)


# ---- refusing


def source(base: type, columns: dict[str, Column], **options: object) -> SourceType:
    """A class made now."""
    return SourceType("Made", (base,), columns, **options)  # as a test gives them


def stream_of(query: Select, *kinds: SqlType) -> SourceType:
    """A stream of a query, with columns as it gives them."""
    columns = {name: Column(kind) for (name, _), kind in zip(query.columns, kinds, strict=True)}
    return source(Stream, columns, query=query)


def joined(left: SourceType, right: SourceType, on: Expression, **options: Any) -> SourceType:
    """A stream of two sources."""
    return stream_of(select(right.columns()["symbol"]).from_(left).join(right, on, **options), STRING)


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
    (lambda: Ticks.broker == 1, r"t.broker is STRING, 1 is INTEGER: = cannot compare them"),
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
        lambda: stream_of(select(Ticks.n).from_(Ticks).join(Other, Ticks.n == Other.n), BIGINT),
        r"two streams are joined within a time",
    ),
    (lambda: joined(Ticks, Ticks, Ticks.n == 1), r"t is joined with itself"),
    (lambda: joined(Names, Ticks, Ticks.symbol == Names.symbol), r"begin .from_\(Ticks\), then join the table"),
    (lambda: joined(Ticks, Names, Ticks.symbol == Names.long), r"by its primary key alone; join on names.symbol"),
    (
        lambda: joined(Ticks, Names, Ticks.symbol == Names.symbol, within="10 SECONDS"),
        r"within='10 SECONDS' is for two streams, and names is a table",
    ),
    (lambda: joined(Ticks, Names, Ticks.symbol == Names.symbol, how=Joining.full), r"no full join; take Joining.left"),
    (lambda: joined(Ticks, Other, Ticks.n == Other.n, within="soon"), r"soon: is not a duration"),
    (
        lambda: source(
            Stream, {"b": Key(STRING), "n": Column(BIGINT)}, query=select(Ticks.broker.as_("b"), Ticks.n).from_(Ticks)
        ),
        r"Made: symbol belongs to the key and is not in the SELECT; add it",
    ),
    (
        lambda: source(Stream, {"symbol": Column(STRING)}, query=select(Ticks.symbol).from_(Ticks).partition_by(Ticks.symbol)),
        r"Made.symbol: the key of its query is symbol; declare it as Key",
    ),
    (
        lambda: source(
            Table,
            {"symbol": Key(STRING), "n": Key(BIGINT)},
            key=JSON_KEY,
            query=select(Ticks.symbol, count().as_("n")).from_(Ticks).group_by(Ticks.symbol),
        ),
        r"Made.n: the key of its query is symbol; declare it as Column",
    ),
    (
        lambda: source(
            Stream,
            {"symbol": Key(STRING), "again": Column(STRING)},
            query=select(Ticks.symbol, Ticks.symbol.as_("again")).from_(Ticks).partition_by(Ticks.symbol),
        ),
        r"Made.again: symbol is in the key already; take as_value\(symbol\)",
    ),
    (
        lambda: source(Stream, {"n": Column(INTEGER)}, query=select(Ticks.n).from_(Ticks)),
        r"Made.n is declared INTEGER and its query gives BIGINT",
    ),
    (lambda: stream_of(select(Names.symbol).from_(Names), STRING), r"a query of a table gives a table"),
    (
        lambda: stream_of(select(Names.symbol).from_(Names).partition_by(Names.symbol), STRING),
        r"names is a table and cannot be partitioned anew; group by symbol",
    ),
    (
        lambda: source(
            Table,
            {"long": Key(STRING), "last": Column(STRING)},
            query=select(Names.long, latest(Names.symbol).as_("last")).from_(Names).group_by(Names.long),
        ),
        r"last: LATEST_BY_OFFSET\(symbol\) is not taken of names, which is a table; declare a stream over its topic",
    ),
    (
        lambda: stream_of(select(Ticks.n).from_(Ticks).where(Ticks.n), BIGINT),
        r"WHERE n is BIGINT; say what it is compared with",
    ),
    (lambda: stream_of(select(Ticks.n).from_(Ticks).where(count() > 1), BIGINT), r"COUNT\(\*\) is known after grouping"),
    (lambda: stream_of(select(Ticks.n).from_(Ticks).having(Ticks.n > 1), BIGINT), r"HAVING n > 1 is for groups"),
    (
        lambda: source(Table, {"n": Column(BIGINT)}, query=select(latest(count()).as_("n")).from_(Ticks).group_by(Ticks.n)),
        r"an aggregate of an aggregate",
    ),
    (
        lambda: source(Stream, {"a": Column(STRING)}, topic="t", value="JSON", timestamp="a"),
        r"Made.a is STRING and cannot be the timestamp; make it a TIMESTAMP",
    ),
    (lambda: source(Stream, {"a": Column(STRING)}, topic="t", value="JASON"), r"value=JASON: no such format; there are AVRO"),
    (lambda: source(Stream, {}, options={"NOPE": 1}), r"NOPE is no option of WITH; there are"),
    (lambda: source(Stream, {}, options={"kafka_topic": "t"}), r"kafka_topic has an argument of its own: say topic="),
    (lambda: source(Stream, {}, topic="t", value="JSON"), r"it has no columns; declare them"),
    (lambda: source(Stream, {"a": Column(STRING)}, topic="t", value="JSON", partitions=0), r"partitions=0: at least 1"),
    (lambda: source(Stream, {"a": Key(STRING)}, topic="t", value="JSON", key=NO_KEY), r"Made.a is a Key, and key=NO_KEY"),
    (lambda: delimited("||"), r"a delimiter is one character, TAB or SPACE"),
    (lambda: STRUCT(size=BIGINT), r"STRUCT.size: size is a reserved word; take another"),
    (lambda: Column(STRUCT(a=BIGINT), "s")["b"], r"s has no field b; it has a"),
    (lambda: Column(ARRAY(BIGINT), "s")[0], r"arrays are counted from 1"),
    (lambda: list(Ticks.n), r"n is not a list"),
    (lambda: Ticks.bid / 3, r"bid / 3: of two DECIMALs the server makes NULL where the quotient does not end"),
    (lambda: 1 / Ticks.bid, r"1 / bid: of two DECIMALs"),
    (lambda: tumbling("0 SECONDS"), r"0 SECONDS: a window must have a length"),
    (
        lambda: source(Stream, {"a": Column(STRING), "A": Column(STRING)}, topic="t", value="JSON"),
        r"Made.A: a has that name too, as case does not count",
    ),
    (
        lambda: source(Stream, {"a": Column(STRING), "b": Column(STRING, "a")}, topic="t", value="JSON"),
        r"Made.a: a has that name too",
    ),
    (
        lambda: source(
            Table,
            {"w": Column(BIGINT), "n": Column(BIGINT)},
            query=(select(WINDOWSTART.as_("w"), count().as_("n")).from_(Ticks).group_by(Ticks.n)),
        ),
        r"WINDOWSTART is of a window; add .window\(",
    ),
    (
        lambda: joined(Ticks, Names, Ticks.symbol > Names.symbol),
        r"ON t.symbol > names.symbol: it must say that a column of names",
    ),
    (lambda: joined(Ticks, Names, Names.symbol == "x"), r"ON names.symbol = 'x': it must say"),
    (
        lambda: stream_of(select(Names.long).from_(Ticks).join(Names, Ticks.symbol == Names.symbol), STRING),
        r"the key of a join is what it is joined by; select t.symbol, declared as Key",
    ),
    (lambda: Insert(Other, select(Other).from_(Other), query_id=""), r"INSERT INTO o: query_id='': "),
    (lambda: Insert(Other, select(Other).from_(Other), query_id="it's"), r"a name is made of letters"),
    (
        lambda: source(Stream, {"a": Key(DECIMAL(9, 2))}, topic="t", value="JSON"),
        r"Made.a is DECIMAL\(9,2\), which the key format KAFKA does not take; say JSON_KEY",
    ),
    (
        lambda: source(Stream, {"a": Key(MAP(STRING, STRING))}, topic="t", value="JSON", key=JSON_KEY),
        r"Made.a is MAP<STRING, STRING>, of which no key can be made",
    ),
    (
        lambda: source(Stream, {"a": Column(ARRAY(STRING))}, topic="t", value="DELIMITED"),
        r"Made.a is ARRAY<STRING>, which the value format DELIMITED does not take; say value='JSON'",
    ),
    (
        lambda: source(Stream, {"a": Column(STRING), "b": Column(STRING)}, topic="t", value="KAFKA"),
        r"the KAFKA value format takes one column, not 2",
    ),
    (lambda: source(Stream, {"a": Column(STRING)}, topic="t", value="NONE"), r"Made.a is a value, and value=NONE says"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_a_server_would_refuse_or_lose_data_by_is_refused_with_the_remedy(make: Callable[[], object], said: str) -> None:
    with pytest.raises(KsqlError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)


@pytest.mark.slow  # runs mypy
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
