"""KSQL from Python: the text of declarations, queries and expressions, and the types of expressions."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from migrations.ksql.expressions import Column, Expression, Key
from migrations.ksql.functions import as_value, case, cast, latest
from migrations.ksql.parse.lexer import tokenize
from migrations.ksql.parse.normal import split
from migrations.ksql.parse.statement import Kind, describe
from migrations.ksql.queries import Joining, Window, hopping, select, session, tumbling
from migrations.ksql.sources import JSON_KEY, SourceType, Stream, Table, delimited
from migrations.ksql.types import ARRAY, BIGINT, BOOLEAN, DECIMAL, DOUBLE, MAP, STRING, STRUCT
from migrations.shipped.decimals import PRICE
from tests.ksqldb_server import words
from tests.ksqldb_server.server import execute_all
from tests.ksqldb_server.state import State
from tests.unit.migrations.declarations import Names, Other, Ticks, source


def test_the_clauses_of_a_query_are_in_order() -> None:
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


def test_a_number_may_be_the_left_operand_and_a_type_may_be_a_variable() -> None:
    assert [str(one) for one in (2 * Ticks.n, 1 - Ticks.n, 1 + Ticks.n, 6 / Ticks.n)] == ["2 * n", "1 - n", "1 + n", "6 / n"]
    assert str(cast(Ticks.bid, PRICE) * 2) == "CAST(bid AS ${price}) * 2"


def test_parentheses_appear_only_where_precedence_needs_them() -> None:
    n, bid = Ticks.n, Ticks.bid
    assert str((n + 1) * 2) == "(n + 1) * 2"
    assert str(n + bid * 2) == "n + bid * 2"
    assert str(n - (n - 1)) == "n - (n - 1)"
    assert str(n - n - 1) == "n - n - 1"


def test_types_with_parameters_are_rendered() -> None:
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


def test_the_result_of_an_operation_has_the_type_that_the_server_gives_it() -> None:
    bid, n = Ticks.bid, Ticks.n
    assert [str(one.kind) for one in (bid * bid, bid * n, bid * 2, bid + n, bid - 1, n + 1, n * 2, bid * cast(n, DOUBLE))] == [
        *("DECIMAL(37,16)", "DECIMAL(38,8)", "DECIMAL(29,8)", "DECIMAL(28,8)", "DECIMAL(19,8)", "BIGINT", "BIGINT", "DOUBLE")
    ]


def test_a_long_case_takes_several_lines() -> None:
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


def test_conditions_on_booleans_and_null_are_rendered() -> None:
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
def test_rendered_text_is_parsed_into_one_statement_with_the_same_tokens(
    items: list[Expression], condition: Expression, *, grouped: bool
) -> None:
    named = [(latest(item) if grouped else item).as_(f"c{number}") for number, item in enumerate(items)]
    query = select(Ticks.broker, Ticks.symbol, *named).from_(Ticks).where(condition)
    if grouped:
        query = query.window(session("5 MINUTES")).group_by(Ticks.broker, Ticks.symbol)
    columns = {f"c{number}": Column(item.kind) for number, item in enumerate(items)}
    keys = {"broker": Key(STRING), "symbol": Key(STRING)}
    made = SourceType(
        "Made", (Table if grouped else Stream,), keys | columns, query=query, options={"TIMESTAMP_FORMAT": "it's"}
    )
    text = str(made)
    assert text == str(made)
    assert split(text) == [text]
    assert [token.text for token in tokenize(text)] == split_words(text)


@settings(deadline=None)
@given(
    items=st.lists(expressions, min_size=1, max_size=5),
    names=st.lists(st.sampled_from(sorted(words.KEYWORDS - words.RESERVED)), min_size=5, max_size=5, unique=True),
    condition=conditions,
    over=st.sampled_from([None, session("5 MINUTES"), tumbling("1 MINUTE", grace="5 SECONDS"), hopping("1 HOUR", "1 MINUTE")]),
)
def test_every_rendered_statement_is_accepted_by_the_strict_stand_in(
    items: list[Expression], names: list[str], condition: Expression, over: Window | None
) -> None:
    """Also with keywords as names, unless they are reserved."""
    named = [(item if over is None else latest(item)).as_(name) for name, item in zip(names, items, strict=False)]
    query = select(Ticks.broker, Ticks.symbol, *named).from_(Ticks).where(condition)
    if over is not None:
        query = query.window(over).group_by(Ticks.broker, Ticks.symbol)
    columns = {f"c{number}": Column(item.kind, item.name) for number, item in enumerate(named)}
    keys = {"broker": Key(STRING), "symbol": Key(STRING)}
    made = SourceType("Made", (Stream if over is None else Table,), keys | columns, query=query)
    first = str(Ticks).replace("KAFKA_TOPIC='t',", "KAFKA_TOPIC='t', PARTITIONS=1,")
    assert len(execute_all(State(), f"{first}\n{made}")) == 2
    assert describe(str(made)).kind in (Kind.create_stream_as, Kind.create_table_as)


def split_words(text: str) -> list[str]:
    """The tokens by a simpler lexer, which suffices for rendered text."""
    return re.findall(r"'(?:[^']|'')*'|\w+|->|<>|<=|>=|[^\s\w]", text)


def test_columns_of_a_plain_base_class_belong_to_each_class_that_takes_them() -> None:
    class Pair:
        broker = Key(STRING)
        symbol = Key(STRING)

    class Quote(Pair):
        bid = Column(DOUBLE)

    class Quotes(Quote, Stream, name="quotes", topic="q", key=JSON_KEY, value="JSON"):
        ask = Column(DOUBLE)

    class Last(Quote, Table, name="last", topic="l", key=JSON_KEY, value="JSON"):
        bid = Column(BIGINT)

    assert [str(column) for column in Quotes.columns().values()] == ["broker", "symbol", "bid", "ask"]
    assert [column.qualified_name for column in (Quotes.bid, Last.bid)] == ["quotes.bid", "last.bid"]
    assert [column.kind for column in (Quotes.bid, Last.bid)] == [DOUBLE, BIGINT]
    assert "last (\n  broker STRING PRIMARY KEY, symbol STRING PRIMARY KEY, bid BIGINT\n)" in str(Last)
