"""What the server accepts is accepted in a declaration, and the strict stand-in takes the text of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations.ksql.expressions import Column, Key
from migrations.ksql.functions import NULL, ROWKEY, case, cast, count, maximum, minimum
from migrations.ksql.headers import Header, Headers
from migrations.ksql.queries import Joining, hopping, select
from migrations.ksql.sources import SourceType, Stream, Table, Type
from migrations.ksql.types import (
    ARRAY,
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DECIMAL,
    DOUBLE,
    INTEGER,
    STRING,
    STRUCT,
    TIME,
    TIMESTAMP,
)  # fmt: skip
from tests.ksqldb_server.server import execute_all
from tests.ksqldb_server.state import State
from tests.unit.migrations.declarations import Long, Names, Other, Ticks, source


class Everything(Stream, name="every", topic="every", value="JSON", partitions=1):
    """A column of each type."""

    id = Key(STRING)
    ts = Column(TIMESTAMP)
    day = Column(DATE)
    time = Column(TIME)
    raw = Column(BYTES)
    ok = Column(BOOLEAN)
    n = Column(BIGINT)
    price = Column(DOUBLE)
    tags = Column(ARRAY(STRING))
    address = Column(STRUCT(city=STRING, zip=INTEGER))


point = Type("point", STRUCT(x=DOUBLE, y=DOUBLE))
E = Everything


def stream(columns: dict[str, Column], query: object, **options: object) -> SourceType:
    return source(Stream, columns, query=query, **options)


ACCEPTED: dict[str, Callable[[], object]] = {
    "a key of bytes": lambda: source(Stream, {"a": Key(BYTES), "v": Column(BIGINT)}, topic="t", value="JSON", partitions=1),
    "a connector": lambda: source(
        Stream, {"v": Column(STRING)}, topic="t", value="JSON", partitions=1, options={"SOURCED_BY_CONNECTOR": "x"}
    ),
    "the name of an Avro schema": lambda: source(
        Stream, {"v": Column(STRING)}, topic="t", value="AVRO", partitions=1, options={"VALUE_AVRO_SCHEMA_FULL_NAME": "a.B"}
    ),
    "nullable fields of Protobuf": lambda: source(
        Stream,
        {"v": Column(STRING)},
        topic="t",
        value="PROTOBUF",
        partitions=1,
        options={"VALUE_PROTOBUF_NULLABLE_REPRESENTATION": "WRAPPER"},
    ),
    "columns from the registry": lambda: source(Stream, {}, topic="t", value="AVRO", partitions=1),
    "a SOURCE table": lambda: source(
        Table, {"k": Key(STRING), "v": Column(BIGINT)}, topic="t", value="JSON", partitions=1, source=True
    ),
    "headers": lambda: source(
        Stream, {"v": Column(STRING), "h": Headers(), "one": Header("it's")}, topic="t", value="JSON", partitions=1
    ),
    "quoted names": lambda: source(
        Stream,
        {"a": Column(STRING, "`size`"), "b": Column(STRING, "`Size`"), "c": Column(STRUCT(**{"`select`": BIGINT}))},
        topic="t",
        value="JSON",
        partitions=1,
    ),
    "a custom type": lambda: source(Stream, {"p": Column(point.kind)}, topic="t", value="JSON", partitions=1),
    "no key": lambda: stream({"id": Column(STRING)}, select(E.id).from_(E).partition_by(NULL)),
    "order of bytes": lambda: stream({"id": Key(STRING), "n": Column(BIGINT)}, select(E.id, E.n).from_(E).where(E.raw < E.raw)),
    "equal structs": lambda: stream(
        {"id": Key(STRING), "n": Column(BIGINT)},
        select(E.id, E.n).from_(E).where((E.address == E.address) & (E.tags == E.tags)),
    ),
    "conditions": lambda: stream(
        {"id": Key(STRING), "n": Column(BIGINT)},
        select(E.id, E.n).from_(E).where(case((E.ok, E.ok == E.ok), otherwise=~E.ok) | (E.ts > "2020-01-01T00:00:00")),
    ),
    "largest of text, times and bytes": lambda: source(
        Table,
        {"id": Key(STRING), "a": Column(TIMESTAMP), "b": Column(BYTES), "c": Column(DATE), "d": Column(TIME)},
        query=select(E.id, maximum(E.ts).as_("a"), minimum(E.raw).as_("b"), maximum(E.day).as_("c"), minimum(E.time).as_("d"))
        .from_(E)
        .group_by(E.id),
    ),
    "milliseconds": lambda: source(
        Table,
        {"id": Key(STRING), "n": Column(BIGINT)},
        query=select(E.id, count().as_("n"))
        .from_(E)
        .window(hopping("1 SECOND", "500 MILLISECONDS", grace="0 SECONDS"))
        .group_by(E.id),
    ),
    "a full join": lambda: stream(
        {"ROWKEY": Key(STRING), "n": Column(BIGINT)},
        select(ROWKEY.as_("ROWKEY"), Other.n)
        .from_(Everything)
        .join(Other, E.id == Other.symbol, how=Joining.full, within=("5 SECONDS", "10 SECONDS")),
    ),
    "a right join of tables": lambda: source(
        Table,
        {"symbol": Key(STRING), "n": Column(BIGINT)},
        query=select(Names.symbol, Long.n).from_(Names).join(Long, Names.symbol == Long.long, how=Joining.right),
    ),
    "a join by a foreign key": lambda: source(
        Table,
        {"symbol": Key(STRING), "n": Column(BIGINT)},
        query=select(Names.symbol, Long.n).from_(Names).join(Long, Names.long == Long.long, how=Joining.left),
    ),
    "casts": lambda: stream(
        {
            "id": Key(STRING),
            **{f"c{n}": Column(kind) for n, kind in enumerate((DATE, TIMESTAMP, STRING, BYTES, DECIMAL(9, 2)))},
        },
        select(
            E.id,
            *(cast(E.ts, DATE).as_("c0"), cast(E.day, TIMESTAMP).as_("c1"), cast(E.address, STRING).as_("c2")),
            *(cast(E.id, BYTES).as_("c3"), cast(E.price, DECIMAL(9, 2)).as_("c4")),
        ).from_(E),
    ),
}


@pytest.mark.parametrize("make", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_server_accepts_is_accepted(make: Callable[[], object]) -> None:
    state = State(registry=True, topics=dict.fromkeys(("t", "o", "names", "longs"), 1))
    execute_all(state, "\n".join(map(str, (point, Ticks, Other, Names, Long, Everything))))
    state.topics.pop("t")
    execute_all(state, str(make()))
