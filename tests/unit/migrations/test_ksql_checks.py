"""The checks of declarations: each mistake raises an error that names a remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Key, literal
from migrations.ksql.functions import WINDOWSTART, average, case, cast, count, latest, maximum, total
from migrations.ksql.queries import Emit, Joining, select, tumbling
from migrations.ksql.sources import JSON_KEY, NO_KEY, Insert, Stream, Table, Type, delimited
from migrations.ksql.types import ARRAY, BIGINT, BOOLEAN, BYTES, DECIMAL, DOUBLE, INTEGER, MAP, STRING, STRUCT, TIMESTAMP
from tests.unit.migrations.declarations import Long, Names, Other, Ticks, Windows, joined, source, stream_of, two_keys

REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: source(Stream, two_keys(), topic="t", value="JSON"),
        r"KAFKA key format takes one column, not a, b; say key=delimited",
    ),
    (lambda: source(Stream, {"size": Column(BIGINT)}, topic="t", value="JSON"), r"Made.size: size is a reserved word"),
    (
        lambda: source(Stream, {"columns": Column(BIGINT)}, topic="t", value="JSON"),
        r"Made.columns: a class has an attribute of that name; call yours columns_, .* Column\(.., 'columns'\)",
    ),
    (lambda: source(Stream, {"minutes": Column(BIGINT)}, topic="t", value="JSON"), r"Made.minutes: minutes is a reserved word"),
    (lambda: source(Stream, {"rowtime": Column(BIGINT)}, topic="t", value="JSON"), r"Made.rowtime: rowtime is a reserved word"),
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
    (lambda: stream_of(select(Windows.n).from_(Windows), BIGINT), r"w is a windowed table, which no persistent query can read"),
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
        lambda: literal(1.5),  # type: ignore[arg-type]  # a type checker rejects it too
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
        r"names is a table and cannot be repartitioned; group by symbol",
    ),
    (
        lambda: source(
            Table,
            {"long": Key(STRING), "last": Column(STRING)},
            query=select(Names.long, latest(Names.symbol).as_("last")).from_(Names).group_by(Names.long),
        ),
        r"last: LATEST_BY_OFFSET\(symbol\) does not work on names, which is a table; declare a stream over its topic",
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
    (
        lambda: joined(Ticks, Names, Ticks.symbol == Names.symbol, how=Joining.right),
        r"a stream and a table have no right join; take Joining.left",
    ),
    (
        lambda: joined(Ticks, Names, Ticks.symbol == Names.symbol, grace="1 HOUR"),
        r"grace='1 HOUR' goes with within=, for two streams; leave it out",
    ),
    (lambda: joined(Ticks, Other, Ticks.n == Other.n, within=("1 DAY", "soon")), r"soon: is not a duration"),
    (
        lambda: source(
            Stream,
            {"symbol": Key(STRING), "n": Column(BIGINT)},
            query=select(Ticks.symbol, Other.n)
            .from_(Ticks)
            .join(Other, Ticks.symbol == Other.symbol, how=Joining.full, within="1 DAY"),
        ),
        r"Made: the key of this join is ROWKEY; select ROWKEY.as_\('ROWKEY'\), declared as Key",
    ),
    (
        lambda: source(
            Stream,
            {"k": Key(STRING), "n": Column(BIGINT)},
            query=select(cast(Ticks.n, STRING).as_("k"), Ticks.n)
            .from_(Ticks)
            .join(Other, cast(Ticks.n, STRING) == Other.symbol, within="1 DAY"),
        ),
        r"the key of a join is what it is joined by; select o.symbol, declared as Key",
    ),
    (
        lambda: source(
            Table,
            {"symbol": Key(STRING), "long": Column(STRING)},
            query=select(Names.symbol, Long.long).from_(Names).join(Long, Names.long == Long.long, how=Joining.full),
        ),
        r"a join by a foreign key is no full join; take Joining.left",
    ),
    (
        lambda: cast(Ticks.n == 1, BIGINT),
        r"n = 1 is BOOLEAN, which the server does not cast to BIGINT; cast it by way of STRING",
    ),
    (lambda: cast(Ticks.n, TIMESTAMP), r"t.n is BIGINT, which the server does not cast to TIMESTAMP"),
    (lambda: cast(Column(ARRAY(STRING), "a"), DOUBLE), r"which the server does not cast to DOUBLE"),
    (lambda: cast(Ticks.bid, BYTES), r"t.bid is DECIMAL\(18,8\), which the server does not cast to BYTES"),
    (lambda: Column(BOOLEAN, "a") < Column(BOOLEAN, "b"), r"\?.a is BOOLEAN, \?.b is BOOLEAN: < cannot compare them"),
    (lambda: Column(STRUCT(a=BIGINT), "a") >= Column(STRUCT(a=BIGINT), "b"), r">= cannot compare them"),
    (lambda: maximum(Column(BOOLEAN, "a")), r"MAX\(a\): \?.a is BOOLEAN; it takes numbers, texts, times and bytes"),
    (lambda: case((Ticks.n, Ticks.n), otherwise=Ticks.n), r"WHEN t.n is BIGINT; say what it is compared with"),
    (lambda: (Ticks.n == 1) & Ticks.n, r"t.n is BIGINT: AND takes conditions; say what it is compared with"),
    (lambda: ~Ticks.n, r"t.n is BIGINT: NOT takes conditions"),
    (lambda: literal(2**63), r"9223372036854775808: a BIGINT holds no such number; write cast\('9223372036854775808'"),
    (
        lambda: source(
            Stream,
            {"broker": Key(STRING), "symbol": Key(STRING)},
            key=delimited("|"),
            query=select(Ticks.broker, Ticks.symbol).from_(Ticks),
        ),
        r"Made: its query gives only the key; select a value, for example as_value\(broker\)",
    ),
    (
        lambda: source(Stream, {"a": Column(ARRAY(MAP(BIGINT, STRING)))}, topic="t", value="JSON"),
        r"Made.a is ARRAY<MAP<BIGINT, STRING>>; JSON holds only maps with STRING keys",
    ),
    (
        lambda: source(Stream, {"a": Column(STRING)}, topic="it's", value="JSON"),
        r"topic=it's: a topic's name is made of",
    ),
    (
        lambda: source(Stream, {"a": Column(STRING)}, topic="t", value="AVRO", options={"KEY_SCHEMA_FULL_NAME": "a.B"}),
        r"KEY_SCHEMA_FULL_NAME is for AVRO, PROTOBUF, JSON_SR, and the key format is KAFKA; leave it out",
    ),
    (
        lambda: source(
            Stream,
            {"a": Column(STRING)},
            topic="t",
            value="AVRO",
            options={"VALUE_PROTOBUF_NULLABLE_REPRESENTATION": "WRAPPER"},
        ),
        r"VALUE_PROTOBUF_NULLABLE_REPRESENTATION is for PROTOBUF, and the value format is AVRO; leave it out",
    ),
    (
        lambda: source(
            Stream,
            {"b": Key(STRING), "n": Column(BIGINT)},
            source=True,
            query=select(Ticks.broker.as_("b"), Ticks.n).from_(Ticks),
        ),
        r"Made: a SOURCE is read only, and a query writes what it makes; leave source= out",
    ),
    (lambda: Type("size", BIGINT), r"the name of a type: size is a reserved word"),
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
def test_declarations_that_a_server_would_reject_or_that_lose_data_raise_an_error_with_a_remedy(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(KsqlError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)
