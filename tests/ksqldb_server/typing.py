"""The types of expressions, and the errors of the real server where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.ksqldb_server.expressions import Expr
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.sqltypes import (
    BASE,
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    STRING,
    Known,
    SqlType,
    arithmetic,
    castable,
    comparable,
    decimal,
)
from tests.ksqldb_server.words import PSEUDO_COLUMNS

SIGNS = {"=": "EQUAL", "<>": "NOT_EQUAL", "<": "LESS_THAN", "<=": "LESS_THAN_OR_EQUAL", ">": "GREATER_THAN"}
UNDOABLE = {"COUNT", "SUM", "AVG", "COLLECT_LIST", "HISTOGRAM"}  # aggregates of a table
AGGREGATES = UNDOABLE | {
    *("MAX", "MIN", "EARLIEST_BY_OFFSET", "LATEST_BY_OFFSET", "COLLECT_SET", "TOPK", "TOPKDISTINCT", "COUNT_DISTINCT"),
    *("STDDEV_SAMP", "STDDEV_SAMPLE", "CORRELATION", "ATTR"),
}
_TEXT = {"UCASE", "LCASE", "TRIM", "CONCAT", "SUBSTRING", "REPLACE", "TIMESTAMPTOSTRING", "FORMAT_TIMESTAMP", "CHR", "MASK"}
_SAME = {"SUM", "MAX", "MIN", "EARLIEST_BY_OFFSET", "LATEST_BY_OFFSET", "AS_VALUE", "COALESCE", "IFNULL", "NULLIF", "ABS"}
_KINDS = {"COUNT": BIGINT, "COUNT_DISTINCT": BIGINT, "AVG": DOUBLE, "STRINGTOTIMESTAMP": BIGINT, "UNIX_TIMESTAMP": BIGINT}
_TAKES = {  # names of the types that a function takes
    "SUM": {"INTEGER", "BIGINT", "DOUBLE", "DECIMAL"},
    "AVG": {"INTEGER", "BIGINT", "DOUBLE"},
    "MAX": {"INTEGER", "BIGINT", "DOUBLE", "DECIMAL", "STRING", "TIMESTAMP", "DATE", "TIME", "BYTES"},
}
_TAKES["MIN"] = _TAKES["MAX"]
INT_MAX, BIGINT_MAX = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True)
class Scope:
    """The columns that an expression may name: types by the source's alias and the column's name.

    A source without columns, whose schema is in a registry, has all of them.
    """

    columns: Mapping[str, Mapping[str, Known]]
    text: str

    def refuse(self, message: str) -> Refusal:
        return Refusal(f"Could not determine output schema for query due to error: {message}", self.text)

    def column(self, column: Expr) -> Known:
        name = column.value
        if name in PSEUDO_COLUMNS:
            return BIGINT
        sources = [self.columns[column.source]] if column.source in self.columns else list(self.columns.values())
        if column.source and column.source not in self.columns:
            raise self.refuse(f"Column '{column.source}.{name}' cannot be resolved.")
        found = [source for source in sources if name in source]
        if len(found) > 1:
            raise self.refuse(f"Column '{name}' is ambiguous.")
        if not found and all(sources) and name != "ROWKEY":
            raise self.refuse(f"Column '{name}' cannot be resolved.")
        return found[0][name] if found else None


def type_of(expr: Expr, scope: Scope) -> Known:  # noqa: C901, PLR0911, PLR0912  # one branch per kind of expression
    """The type; None if it is not known. Raises `Refusal`."""
    if expr.kind == "literal":
        return _literal(expr.value, scope)
    if expr.kind == "column":
        return scope.column(expr)
    if expr.kind in {"unit", "lambda"}:
        return None
    kinds = [type_of(part, scope) for part in expr.parts]
    if expr.kind == "arithmetic":
        if None in kinds:
            return None
        found = arithmetic(expr.value, kinds[0], kinds[1])  # type: ignore[arg-type]  # none is None
        if found is None:
            raise scope.refuse(f"Error processing expression: Unsupported arithmetic types. {kinds[0]} {kinds[1]}")
        return found
    if expr.kind in {"comparison", "distinct"}:
        return _comparison(expr, kinds, scope)
    if expr.kind == "logic":
        for part, kind in zip(expr.parts, kinds, strict=True):
            if kind not in (None, BOOLEAN):
                raise scope.refuse(
                    f"Type error in WHERE expression: Should evaluate to boolean but is {part} ({kind}) instead."
                )
        return BOOLEAN
    if expr.kind in {"is null", "between", "in", "like"}:
        return BOOLEAN
    if expr.kind in {"case", "simple case"}:
        return _case(expr, kinds, scope)
    if expr.kind == "cast":
        if kinds[0] is not None and expr.type is not None and not castable(kinds[0], expr.type):
            raise scope.refuse(f"Invalid Select: Cast of {kinds[0]} to {expr.type} is not supported.")
        return expr.type
    if expr.kind == "call":
        return _call(expr.value, kinds, scope)
    return _part(expr, kinds, scope)


def _literal(text: str, scope: Scope) -> Known:
    if text.startswith("'"):
        return STRING
    if text in {"TRUE", "FALSE"}:
        return BOOLEAN
    if text.lstrip("-")[:1] not in set("0123456789."):
        return None
    if "E" in text.upper():
        return DOUBLE
    if "." in text:
        whole, _, fraction = text.lstrip("-").partition(".")
        return decimal(len(whole.lstrip("0") + fraction), len(fraction))
    value = int(text)
    if not -BIGINT_MAX - 1 <= value <= BIGINT_MAX:
        raise Refusal(f"Failed to prepare statement: Invalid numeric literal: {text}", scope.text)
    return INTEGER if -INT_MAX - 1 <= value <= INT_MAX else BIGINT


def _comparison(expr: Expr, kinds: list[Known], scope: Scope) -> SqlType:
    left, right = kinds
    if left is not None and right is not None and not comparable(left, right, expr.value):
        sign = SIGNS.get(expr.value, expr.value)
        raise scope.refuse(f"Error in WHERE expression: Cannot compare {expr.parts[0]} ({left}) to ({right}) with {sign}.")
    return BOOLEAN


def _case(expr: Expr, kinds: list[Known], scope: Scope) -> Known:
    if expr.kind == "simple case":
        results = kinds[2::2] + (kinds[-1:] if expr.value else [])
    else:
        conditions, results = kinds[0 : len(kinds) // 2 * 2 : 2], kinds[1::2] + (kinds[-1:] if expr.value else [])
        if any(kind not in (None, BOOLEAN) for kind in conditions):
            raise scope.refuse("WHEN operand type should be boolean.")
    known = [kind for kind in results if kind is not None]
    if any(kind != known[0] for kind in known):
        raise scope.refuse("Invalid Case expression. Type for the default clause should be the same as for 'THEN' clauses.")
    return known[0] if known else None


def _call(name: str, kinds: list[Known], scope: Scope) -> Known:
    first = kinds[0] if kinds else None
    if first is not None and first.name not in _TAKES.get(name, {first.name}):
        raise scope.refuse(f"Function '{name}' does not accept parameters ({first}).")
    if name in {"EARLIEST_BY_OFFSET", "LATEST_BY_OFFSET"} and len(kinds) > 1 and INTEGER in kinds[1:]:
        return None if first is None else SqlType("ARRAY", (first,))
    if name in _SAME:
        return first
    if name in _TEXT:
        return STRING
    if name == "EXPLODE" and first is not None and first.name == "ARRAY":
        return first.of[0]
    if name in {"COLLECT_LIST", "COLLECT_SET", "TOPK", "TOPKDISTINCT"} and first is not None:
        return SqlType("ARRAY", (first,))
    return _KINDS.get(name)


def _part(expr: Expr, kinds: list[Known], scope: Scope) -> Known:  # noqa: PLR0911  # one return per kind
    """The type of a part of a value, or of a value made of parts."""
    first = kinds[0] if kinds else None
    if expr.kind == "sign":
        return first
    if expr.kind == "concat":
        return STRING
    if expr.kind == "typed":
        return BASE.get(expr.value)
    if expr.kind == "field" and first is not None:
        found = dict(zip(first.fields, first.of, strict=False)).get(expr.value)
        if first.name != "STRUCT" or found is None:
            raise scope.refuse(f"Could not find field '{expr.value}' in {first}.")
        return found
    if expr.kind == "subscript" and first is not None:
        return first.of[-1] if first.name in {"ARRAY", "MAP"} else None
    if expr.kind == "array" and first is not None:
        return SqlType("ARRAY", (first,))
    return None
