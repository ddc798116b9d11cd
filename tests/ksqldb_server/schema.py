"""The columns that a query gives, its key, and what formats hold: with the errors of the real server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from migrations.ksql.parse.lexer import tokenize
from tests.ksqldb_server.expressions import Expr, parse_type
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.sqltypes import STRING, Known
from tests.ksqldb_server.state import Source, State
from tests.ksqldb_server.syntax import Joined, Query, Windowing
from tests.ksqldb_server.tokens import Cursor
from tests.ksqldb_server.typing import AGGREGATES, UNDOABLE, Scope, type_of
from tests.ksqldb_server.words import PSEUDO_COLUMNS

DAY = 86_400_000
KAFKA_TYPES = {"INTEGER", "BIGINT", "DOUBLE", "STRING", "BYTES"}
NESTED = {"STRUCT", "ARRAY", "MAP"}
Columns = list[list[str]]  # name, type, and KEY or an empty string


def type_from(text: str) -> Known:
    """The type that a column of the state has; None if it is not known."""
    if not text or text == "?":
        return None
    tokens = tokenize(f"{text};")
    return parse_type(Cursor(tokens[:-1], tokens[-1]))


def result_columns(state: State, query: Query, text: str) -> Columns:
    """The columns of a persistent query. Raises `Refusal`."""
    sources = {query.alias: state.sources[query.name]}
    sources |= {join.alias: state.sources[join.name] for join in query.joins}
    scope = Scope({alias: {name: type_from(kind) for name, kind, _ in one.columns} for alias, one in sources.items()}, text)
    first = sources[query.alias]
    if query.window is not None:
        _check_window(query.window, query.emit, first, scope)
    if query.partitions and first.kind == "TABLE":
        raise scope.refuse("PARTITION BY is not supported for tables.")
    if query.partitions and first.window:
        raise scope.refuse("Implicit repartitioning of windowed sources is not supported.")
    for condition in (query.where, query.having):
        if condition is not None and (kind := type_of(condition, scope)) is not None and kind.name != "BOOLEAN":
            raise scope.refuse(
                f"Type error in WHERE expression: Should evaluate to boolean but is {condition} ({kind}) instead."
            )
    for number, join in enumerate(query.joins):
        _check_join(join, sources, list(sources)[: number + 1], scope)
    items = _items(query, sources, scope)
    if query.groups:
        _check_groups(query, items, first, scope)
    return _with_key(query, items, _key(query, sources), scope)


def _with_key(query: Query, items: Sequence[tuple[Expr, str]], keys: Sequence[Expr], scope: Scope) -> Columns:
    """The columns, with those of the key marked. Raises `Refusal` if the key is not among them, or nothing else is."""
    columns: Columns = []
    missing = dict.fromkeys(keys)
    for expr, name in items:
        kind = type_of(expr, scope)
        matched = next((key for key in keys if _same(key, expr)), None)
        if matched is not None and matched not in missing and not query.joins:
            raise scope.refuse(f"The projection contains a key column (`{matched}`) more than once, aliased as: {name}.")
        is_key = matched in missing
        missing.pop(matched, None) if matched is not None else None
        columns.append([name, str(kind or "?"), "KEY" if is_key else ""])
        if query.joins and is_key and not query.groups and not query.partitions:
            missing.clear()  # either side of the join will do
    if missing:
        raise scope.refuse(f"Key missing from projection (ie, SELECT). The query must include {', '.join(map(str, missing))}")
    if not any(not key for _, _, key in columns) and not (query.partitions and not keys):
        raise scope.refuse("The projection contains no value columns.")
    return columns


def produces_table(state: State, query: Query) -> bool:
    return bool(query.groups) or state.sources[query.name].kind == "TABLE"


def check_formats(columns: Sequence[Sequence[str]], key_format: str, value_format: str, text: str) -> None:
    """Raises `Refusal` for columns that their format does not hold. `text` is the statement; empty for those of a query."""
    code = 40001 if text else 40000
    keys = [(name, kind) for name, kind, key in columns if key]
    values = [(name, kind) for name, kind, key in columns if not key]
    for name, kind in keys:
        if (found := type_from(kind)) is not None and found.holds("MAP"):
            raise Refusal(
                f"Map keys, including types that contain maps, are not supported. Key column name: `{name}`.", text, code=code
            )
    for part, fmt, held in (("Key", key_format.upper(), keys), ("Value", value_format.upper(), values)):
        kinds = [found for _, kind in held if (found := type_from(kind)) is not None]
        unfit = {
            "KAFKA": len(held) > 1 or any(kind.name not in KAFKA_TYPES for kind in kinds),
            "DELIMITED": any(kind.name in NESTED for kind in kinds),
            "NONE": bool(held),
            "JSON": any(_maps_by_other_keys(kind) for kind in kinds),
        }.get(fmt, False)
        if unfit:
            raise Refusal(f"{part} format does not support schema.\nformat: {fmt}", text, code=code)


def _maps_by_other_keys(kind: Known) -> bool:
    if kind is None:
        return False
    return (kind.name == "MAP" and kind.of[0] != STRING) or any(map(_maps_by_other_keys, kind.of))


def _items(query: Query, sources: Mapping[str, Source], scope: Scope) -> list[tuple[Expr, str]]:
    """The selected expressions with their names; a star is spelled out."""
    found: list[tuple[Expr, str]] = []
    for number, (expr, name) in enumerate(query.items):
        if expr is None:
            for alias in [name] if name else list(sources):
                if alias not in sources:
                    raise scope.refuse(f"'{alias}' is not a valid stream/table name or alias.")
                prefix = f"{alias}_" if len(sources) > 1 else ""
                found += [(Expr("column", one[0], source=alias), prefix + one[0]) for one in sources[alias].columns]
            continue
        given = name or (expr.value if expr.kind in {"column", "field"} else f"KSQL_COL_{number}")
        if given in PSEUDO_COLUMNS:
            how = f"`{given}` is a reserved column name. You cannot use it as an alias for a column."
            bare = f"Reserved column name in select: `{given}`. Please remove or alias the column."
            raise scope.refuse(how if name else bare)
        found.append((expr, given))
    return found


def _key(query: Query, sources: Mapping[str, Source]) -> list[Expr]:
    """The expressions of the result's key. After a join, each of them is one, and one suffices."""
    if query.groups or query.partitions:
        return [one for one in query.groups or query.partitions if one.value != "NULL"]
    first = sources[query.alias]
    own = [Expr("column", name, source=query.alias) for name, _, key in first.columns if key]
    if not query.joins:
        return own
    last = query.joins[-1]
    sides = [side for join in query.joins[-1:] for side in join.on.parts]
    if last.how == "FULL":
        return [Expr("column", "ROWKEY")]
    joined = sources[last.alias]
    if first.kind == joined.kind == "TABLE" and not all(_is_primary(side, sources) for side in sides):
        return own  # a join by a foreign key
    columns = [side for side in sides if side.kind == "column"]
    return columns or [Expr("column", "ROWKEY")]


def _is_primary(side: Expr, sources: Mapping[str, Source]) -> bool:
    """Whether it is the key column of its source."""
    owners = [sources[side.source]] if side.source in sources else list(sources.values())
    return side.kind == "column" and any(key and name == side.value for one in owners for name, _, key in one.columns)


def _same(key: Expr, expr: Expr) -> bool:
    unqualified = str(key) == str(expr)
    return unqualified and (not key.source or not expr.source or key.source == expr.source)


def _check_window(window: Windowing, emit: str, first: Source, scope: Scope) -> None:
    if first.kind == "TABLE":
        raise scope.refuse("Windowing not supported for table aggregations.")
    if window.size <= 0:
        raise scope.refuse("Size must be positive")
    if window.kind == "HOPPING" and not 0 < window.advance <= window.size:
        raise Refusal("Window advancement interval should be more than zero and less than window duration", scope.text)
    grace = window.grace if window.grace >= 0 else 0 if emit == "FINAL" else max(0, DAY - window.size)
    if 0 <= window.retention < window.size + grace:
        message = "The retention period of the window store must be no smaller than its window size plus the grace period."
        raise Refusal(message, scope.text, code=50000)


def _check_groups(query: Query, items: Sequence[tuple[Expr, str]], first: Source, scope: Scope) -> None:
    parts = [expr for expr, _ in items] + ([query.having] if query.having is not None else [])
    calls = [part for expr in parts for part in expr.walk() if part.kind == "call" and part.value in AGGREGATES]
    if not calls:
        raise scope.refuse("GROUP BY requires aggregate functions in either the SELECT or HAVING clause.")
    if first.kind == "TABLE" and (wrong := [call.value for call in calls if call.value not in UNDOABLE]):
        raise scope.refuse(f"The aggregation function {wrong[0]} cannot be applied to a table source, only to a stream source.")
    for group in query.groups:
        type_of(group, scope)
    for expr, _ in items:
        if (loose := _loose(expr, query.groups)) is not None:
            raise scope.refuse(f"Non-aggregate SELECT expression(s) not part of GROUP BY: {loose}")


def _loose(expr: Expr, groups: Sequence[Expr]) -> Expr | None:
    """A column outside of all aggregates that the query does not group by."""
    if any(_same(group, expr) for group in groups) or (expr.kind == "call" and expr.value in AGGREGATES):
        return None
    if expr.kind == "column":
        return None if expr.value in PSEUDO_COLUMNS else expr
    return next((found for part in expr.parts if (found := _loose(part, groups)) is not None), None)


def _check_join(join: Joined, sources: Mapping[str, Source], before: Sequence[str], scope: Scope) -> None:
    left, right = sources[before[0]], sources[join.alias]
    kinds = (left.kind, right.kind)
    if join.on.kind != "comparison" or join.on.value != "=":
        raise scope.refuse("Invalid join condition: only equality is supported.")
    if kinds == ("TABLE", "STREAM"):
        raise scope.refuse("Invalid join order: table-stream joins are not supported; only stream-table joins.")
    if kinds == ("STREAM", "STREAM") and not join.within:
        raise scope.refuse("Stream-Stream joins must have a WITHIN clause specified. None was provided.")
    if right.kind == "TABLE" and join.within:
        raise scope.refuse("A WITHIN clause is for joins of two streams.")
    sides = [type_of(side, scope) for side in join.on.parts]
    if None not in sides and sides[0] != sides[1]:
        raise scope.refuse(f"Invalid join. Key types differ: {sides[0]} vs {sides[1]}")
    own = {side.value for side in join.on.parts if side.kind == "column" and side.source in {"", join.alias}}
    keys = [name for name, _, key in right.columns if key]
    if right.kind == "TABLE" and (len(keys) > 1 or keys[0] not in own):
        raise scope.refuse("Invalid join condition: joins with a table require to join on its primary key.")
    foreign = kinds == ("TABLE", "TABLE") and not all(_is_primary(side, sources) for side in join.on.parts)
    if foreign and join.how in {"FULL", "RIGHT"}:
        raise scope.refuse(f"Invalid join type: {join.how.lower()} join not supported for foreign-key table-table join.")
    if kinds == ("STREAM", "TABLE") and join.how in {"FULL", "RIGHT"}:
        raise scope.refuse(f"Invalid join type encountered: {join.how}")
