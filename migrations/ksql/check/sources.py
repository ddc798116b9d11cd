"""Sources that a server would refuse, or take and lose data by: said before it is sent, with the column and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from migrations.ksql import types
from migrations.ksql.check.formats import FORMATS, check_formats
from migrations.ksql.check.queries import check_query
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Expression
from migrations.ksql.names import check_name
from migrations.ksql.queries import Joining, Select

if TYPE_CHECKING:
    from migrations.ksql.sources import SourceType

NAMED = {  # options of WITH that have an argument of their own
    "KAFKA_TOPIC": "topic",
    "PARTITIONS": "partitions",
    "KEY_FORMAT": "key",
    "KEY_DELIMITER": "key=delimited",
    "VALUE_FORMAT": "value",
    "TIMESTAMP": "timestamp",
    "WINDOW_TYPE": "window",
    "WINDOW_SIZE": "window",
}
OPTIONS = frozenset(
    """
    REPLICAS FORMAT TIMESTAMP_FORMAT WRAP_SINGLE_VALUE VALUE_DELIMITER RETENTION_MS KEY_SCHEMA_ID VALUE_SCHEMA_ID
    KEY_SCHEMA_FULL_NAME VALUE_SCHEMA_FULL_NAME
    """.split()  # noqa: SIM905  # as a list it is longer
)


def check_source(source: SourceType) -> None:
    """Raises `KsqlError` for a stream or table that cannot be made as it is declared."""
    name, query = source.ksql_name, source.query
    check_name(name, "the name")
    for column in source.columns().values():
        check_name(column.name, f"{name}.{column.name}")
    _check_twice(name, source)
    _check_options(source)
    keys = source.keys()
    key_format = source.key_format or (query.source.key_format if query is not None and query.source is not None else None)
    if len(keys) > 1 and (key_format is None or key_format.name == "KAFKA"):
        columns = ", ".join(key.name for key in keys)
        raise KsqlError(f"{name}: the KAFKA key format takes one column, not {columns}; say key=delimited('|') or JSON_KEY")
    check_formats(source, "KAFKA" if key_format is None else key_format.name)
    if query is not None:
        check_query(query, f"{'table' if source.table else 'stream'} {name}")
        if not source.table and query.groups:
            raise KsqlError(f"{name}: GROUP BY gives a table; declare it as one: class {source.__name__}(Table, ...)")
        if source.table and not query.groups and not _reads_table(query):
            raise KsqlError(f"{name}: a query without GROUP BY gives a stream; declare it as one, or group")
        if not source.table and _reads_table(query):
            raise KsqlError(f"{name}: a query of a table gives a table; declare it as one: class {source.__name__}(Table, ...)")
        _check_given(name, query, source.columns().values())
    else:
        _check_declared(source)


def check_insert(into: SourceType, query: Select, query_id: str) -> None:
    """Raises `KsqlError` for a query that does not fit the stream it writes to."""
    if into.table:
        raise KsqlError(f"INSERT INTO {into.ksql_name}: it is a table; declare a stream over its topic and insert into that")
    check_name(query_id, f"INSERT INTO {into.ksql_name}: query_id={query_id!r}")
    check_query(query, f"INSERT INTO {into.ksql_name}")
    if query.groups or _reads_table(query):
        raise KsqlError(f"INSERT INTO {into.ksql_name}: its query gives a table; insert from a stream, without GROUP BY")
    _check_given(into.ksql_name, query, into.columns().values())


def _check_twice(name: str, source: SourceType) -> None:
    """The server does not tell `a` from `A`."""
    first: dict[str, Column] = {}
    for column in source.declared():
        other = first.setdefault(column.name.upper(), column)
        if other is not column:
            raise KsqlError(f"{name}.{column.name}: {other.name} has that name too, as case does not count; take another")


def _check_options(source: SourceType) -> None:
    name = source.ksql_name
    for option in source.options:
        if option.upper() == "CLEANUP_POLICY":
            raise KsqlError(f"{name}: CLEANUP_POLICY is the server's to set; leave it out")
        if option.upper() in NAMED:
            raise KsqlError(f"{name}: {option} has an argument of its own: say {NAMED[option.upper()]}=")
        if option.upper() not in OPTIONS:
            raise KsqlError(f"{name}: {option} is no option of WITH; there are {', '.join(sorted(OPTIONS))}")
    if source.value and source.value.upper() not in FORMATS:
        raise KsqlError(f"{name}: value={source.value}: no such format; there are {', '.join(sorted(FORMATS))}")
    if isinstance(source.partitions, int) and source.partitions < 1:
        raise KsqlError(f"{name}: partitions={source.partitions}: at least 1; leave it out where the topic is there already")
    if source.timestamp:
        _check_timestamp(source)


def _check_timestamp(source: SourceType) -> None:
    """Of a declared source; of a query, its columns are what the class declares too."""
    name, column = source.ksql_name, source.columns().get(source.timestamp)
    if column is None:
        raise KsqlError(f"{name}: timestamp={source.timestamp}: no column of that name (it has {', '.join(source.columns())})")
    textual = column.kind == types.STRING and "TIMESTAMP_FORMAT" in source.options
    if column.kind not in {types.TIMESTAMP, types.BIGINT} and not textual:
        raise KsqlError(
            f"{name}.{column.name} is {column.kind} and cannot be the timestamp; make it a TIMESTAMP or a BIGINT (epoch ms), "
            "or a STRING with options={'TIMESTAMP_FORMAT': ...}"
        )


def _check_declared(source: SourceType) -> None:
    name = source.ksql_name
    if not source.topic or not source.value:
        raise KsqlError(f"{name}: a declared source needs topic= and value= (its value format)")
    if not source.columns():
        raise KsqlError(f"{name}: it has no columns; declare them, as in bid = Column(DECIMAL(18, 8))")
    if source.table and not source.keys():
        raise KsqlError(f"{name}: a table needs a primary key; declare its columns as Key")
    if source.keys() and source.key_format is not None and source.key_format.name == "NONE":
        raise KsqlError(
            f"{name}.{source.keys()[0].name} is a Key, and key=NO_KEY says that there is none; declare it as Column"
        )


def _check_given(name: str, query: Select, declared: Iterable[Column]) -> None:
    """What the query gives must be what the class declares, by name, order, type and key."""
    given, wanted = query.columns, list(declared)
    if not wanted:
        raise KsqlError(f"{name}: declare the columns that its query gives: {', '.join(one for one, _ in given)}")
    names = [one for one, _ in given]
    if names != [column.name for column in wanted]:
        raise KsqlError(
            f"{name}: it declares {', '.join(column.name for column in wanted)}, and its query gives {', '.join(names)}"
        )
    for column, (_, item) in zip(wanted, given, strict=True):
        if item.kind not in (column.kind, types.UNKNOWN):
            raise KsqlError(
                f"{name}.{column.name} is declared {column.kind} and its query gives {item.kind}: cast it, or declare that"
            )
    if query.groups or query.partitions or not query.joins:
        _check_keys(name, query, wanted)
    else:
        _check_join_keys(name, query, wanted)


def _check_keys(name: str, query: Select, declared: list[Column]) -> None:
    """The key of what a query gives: what it groups or partitions by, else its source's."""
    wanted = query.groups or query.partitions or tuple(query.source.keys() if query.source is not None else ())
    missing = {_exact(key): key for key in wanted}
    known = set(missing)
    for column, (_, item) in zip(declared, query.columns, strict=True):
        text = _exact(item)
        if text in known and missing.pop(text, None) is None:
            raise KsqlError(f"{name}.{column.name}: {item} is in the key already; take as_value({item}) for a copy")
        if column.key != (text in known):
            by = ", ".join(map(str, wanted)) or "nothing"
            remedy = "Column" if column.key else "Key"
            raise KsqlError(f"{name}.{column.name}: the key of its query is {by}; declare it as {remedy}")
    for key in missing.values():
        raise KsqlError(f"{name}: {key} belongs to the key and is not in the SELECT; add it")


def _check_join_keys(name: str, query: Select, declared: list[Column]) -> None:
    """Of a join the server takes what either side is joined by; of a full join it makes a key of its own."""
    if any(join.how is Joining.full for join in query.joins) or query.source is None:
        return
    sides = [part for join in query.joins for part in join.on.parts] + list(query.source.keys())
    texts = {_exact(side) for side in sides}
    if not any(column.key and _exact(item) in texts for column, (_, item) in zip(declared, query.columns, strict=True)):
        raise KsqlError(f"{name}: the key of a join is what it is joined by; select {_exact(sides[0])}, declared as Key")


def _exact(expression: Expression) -> str:
    """Two that say this are the same."""
    return expression.text(qualified=True)


def _reads_table(query: Select) -> bool:
    return query.source is not None and query.source.table
