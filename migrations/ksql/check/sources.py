"""Checks of declared streams, tables and INSERTs.

They reject what a server would reject, and what it would accept and lose data by. Each message names the column and a remedy.
"""

from __future__ import annotations

import re

from migrations.ksql import types
from migrations.ksql.check.formats import check_formats
from migrations.ksql.check.queries import check_query, reads_table
from migrations.ksql.check.results import check_result
from migrations.ksql.declaration import Declaration
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column
from migrations.ksql.formats import FORMATS
from migrations.ksql.names import as_on_server, check_column_name, check_name
from migrations.ksql.queries import Select, Source

ARGUMENTS = {  # options of WITH that a class sets by an argument
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
    KEY_SCHEMA_FULL_NAME VALUE_SCHEMA_FULL_NAME VALUE_AVRO_SCHEMA_FULL_NAME SOURCED_BY_CONNECTOR
    KEY_PROTOBUF_NULLABLE_REPRESENTATION VALUE_PROTOBUF_NULLABLE_REPRESENTATION
    """.split()  # noqa: SIM905  # shorter than a list of strings
)


INFERRED = {"AVRO", "PROTOBUF", "JSON_SR"}  # formats whose columns the server takes from Schema Registry


def check_source(declared: Declaration) -> None:
    """Raises `KsqlError` for a stream or table that cannot be created as declared."""
    name, query = declared.name, declared.query
    check_name(name, "the name")
    for column in declared.by_name.values():
        check_column_name(column.name, f"{name}.{column.name}")
    _check_duplicates(declared)
    _check_options(declared)
    keys = declared.keys
    key_format = declared.key_format
    if key_format is None and query is not None and query.source is not None:
        key_format = query.source.key_format
    if len(keys) > 1 and (key_format is None or key_format.name == "KAFKA"):
        columns = ", ".join(key.name for key in keys)
        raise KsqlError(f"{name}: the KAFKA key format takes one column, not {columns}; say key=delimited('|') or JSON_KEY")
    check_formats(declared, "KAFKA" if key_format is None else key_format.name)
    if query is None:
        _check_without_query(declared)
    else:
        _check_with_query(declared, query)


def check_insert(into: Source, query: Select, query_id: str) -> None:
    """Raises `KsqlError` for a query that does not fit the stream it writes to."""
    name = into.ksql_name
    if into.table:
        raise KsqlError(f"INSERT INTO {name}: it is a table; declare a stream over its topic and insert into that")
    check_name(query_id, f"INSERT INTO {name}: query_id={query_id!r}")
    check_query(query, f"INSERT INTO {name}")
    if query.groups or reads_table(query):
        raise KsqlError(f"INSERT INTO {name}: its query gives a table; insert from a stream, without GROUP BY")
    check_result(name, query, into.columns().values())


def _check_duplicates(declared: Declaration) -> None:
    """Names are compared without case, as on the server."""
    first: dict[str, Column] = {}
    for column in declared.columns:
        other = first.setdefault(as_on_server(column.name), column)
        if other is not column:
            raise KsqlError(
                f"{declared.name}.{column.name}: {other.name} has that name too, as case does not count; take another"
            )


def _check_options(declared: Declaration) -> None:
    name = declared.name
    for option in declared.options:
        if option.upper() == "CLEANUP_POLICY":
            raise KsqlError(f"{name}: CLEANUP_POLICY is the server's to set; leave it out")
        if option.upper() in ARGUMENTS:
            raise KsqlError(f"{name}: {option} has an argument of its own: say {ARGUMENTS[option.upper()]}=")
        if option.upper() not in OPTIONS:
            raise KsqlError(f"{name}: {option} is no option of WITH; there are {', '.join(sorted(OPTIONS))}")
    _check_schema_options(declared)
    topic = re.sub(r"\$\{\w+\}", "", declared.topic)
    if not re.fullmatch(r"[A-Za-z0-9._-]*", topic):
        raise KsqlError(f"{name}: topic={declared.topic}: a topic's name is made of letters, digits, '.', '_' and '-'")
    by_variable = declared.value_format.startswith("${")
    if declared.value_format and not by_variable and declared.value_format.upper() not in FORMATS:
        raise KsqlError(f"{name}: value={declared.value_format}: no such format; there are {', '.join(sorted(FORMATS))}")
    if isinstance(declared.partitions, int) and declared.partitions < 1:
        raise KsqlError(f"{name}: partitions={declared.partitions}: at least 1; leave it out if the topic exists already")
    if declared.timestamp:
        _check_timestamp(declared)


def _check_schema_options(declared: Declaration) -> None:
    """Options about a schema are for formats that have one."""
    formats = {"KEY": declared.key_format.name if declared.key_format else "KAFKA", "VALUE": declared.value_format.upper()}
    for option in map(str.upper, declared.options):
        part, _, rest = option.partition("_")
        known = "PROTOBUF" if "PROTOBUF" in rest else "AVRO" if "AVRO" in rest else "AVRO, PROTOBUF, JSON_SR"
        about = rest.endswith(("SCHEMA_FULL_NAME", "NULLABLE_REPRESENTATION"))
        used = str(declared.options.get("FORMAT", formats.get(part, ""))).upper()
        if about and used and not used.startswith(tuple(known.split(", "))):
            raise KsqlError(f"{declared.name}: {option} is for {known}, and the {part.lower()} format is {used}; leave it out")


def _check_timestamp(declared: Declaration) -> None:
    name, columns = declared.name, declared.by_name
    column = columns.get(declared.timestamp)
    if column is None:
        raise KsqlError(f"{name}: timestamp={declared.timestamp}: no column of that name (it has {', '.join(columns)})")
    textual = column.kind == types.STRING and "TIMESTAMP_FORMAT" in declared.options
    if column.kind not in {types.TIMESTAMP, types.BIGINT} and not textual:
        raise KsqlError(
            f"{name}.{column.name} is {column.kind} and cannot be the timestamp; make it a TIMESTAMP or a BIGINT (epoch ms), "
            "or a STRING with options={'TIMESTAMP_FORMAT': ...}"
        )


def _check_with_query(declared: Declaration, query: Select) -> None:
    name, class_name = declared.name, declared.class_name
    if declared.read_only:
        raise KsqlError(f"{name}: a SOURCE is read only, and a query writes what it makes; leave source= out")
    check_query(query, f"{'table' if declared.table else 'stream'} {name}")
    if not declared.table and query.groups:
        raise KsqlError(f"{name}: GROUP BY gives a table; declare it as one: class {class_name}(Table, ...)")
    if declared.table and not query.groups and not reads_table(query):
        raise KsqlError(f"{name}: a query without GROUP BY gives a stream; declare it as one, or group")
    if not declared.table and reads_table(query):
        raise KsqlError(f"{name}: a query of a table gives a table; declare it as one: class {class_name}(Table, ...)")
    check_result(name, query, declared.by_name.values())


def _check_without_query(declared: Declaration) -> None:
    name, keys = declared.name, declared.keys
    if not declared.topic or not declared.value_format:
        raise KsqlError(f"{name}: a declared source needs topic= and value= (its value format)")
    if not declared.columns and declared.value_format.upper() not in INFERRED:
        raise KsqlError(f"{name}: it has no columns; declare them, as in bid = Column(DECIMAL(18, 8))")
    if declared.table and not keys and declared.columns:
        raise KsqlError(f"{name}: a table needs a primary key; declare its columns as Key")
    if keys and declared.key_format is not None and declared.key_format.name == "NONE":
        raise KsqlError(f"{name}.{keys[0].name} is a Key, and key=NO_KEY says that there is none; declare it as Column")
