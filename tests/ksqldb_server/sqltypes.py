"""SQL types of the stand-in: written as the server writes them, and the rules between them."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PRECISION = 38


@dataclass(frozen=True)
class SqlType:
    """A type. `digits` are precision and scale of a DECIMAL, `of` the types inside, `fields` the names of a STRUCT's."""

    name: str
    of: tuple[SqlType, ...] = ()
    fields: tuple[str, ...] = ()
    digits: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        if self.name == "DECIMAL":
            return f"DECIMAL({self.digits[0]}, {self.digits[1]})"
        if self.name == "STRUCT":
            return f"STRUCT<{', '.join(f'`{name}` {of}' for name, of in zip(self.fields, self.of, strict=True))}>"
        return f"{self.name}<{', '.join(map(str, self.of))}>" if self.of else self.name

    @property
    def numeric(self) -> bool:
        return self.name in {"INTEGER", "BIGINT", "DOUBLE", "DECIMAL"}

    def holds(self, name: str) -> bool:
        """Whether it is of this name, or contains one that is."""
        return self.name == name or any(inner.holds(name) for inner in self.of)


Known = SqlType | None  # None: the stand-in does not know the type, and accepts it everywhere

STRING, BOOLEAN, INTEGER, BIGINT, DOUBLE = map(SqlType, ("STRING", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE"))
TIMESTAMP, DATE, TIME, BYTES = map(SqlType, ("TIMESTAMP", "DATE", "TIME", "BYTES"))
BASE = {one.name: one for one in (STRING, BOOLEAN, INTEGER, BIGINT, DOUBLE, TIMESTAMP, DATE, TIME, BYTES)} | {
    "VARCHAR": STRING,
    "INT": INTEGER,
}
_CASTS = {  # what each type can be cast to, besides itself
    "STRING": {"INTEGER", "BIGINT", "DOUBLE", "DECIMAL", "BOOLEAN", "TIMESTAMP", "DATE", "TIME", "BYTES"},
    "INTEGER": {"STRING", "BIGINT", "DOUBLE", "DECIMAL"},
    "BIGINT": {"STRING", "INTEGER", "DOUBLE", "DECIMAL"},
    "DOUBLE": {"STRING", "INTEGER", "BIGINT", "DECIMAL"},
    "DECIMAL": {"STRING", "INTEGER", "BIGINT", "DOUBLE"},
    "BOOLEAN": {"STRING"},
    "TIMESTAMP": {"STRING", "DATE", "TIME"},
    "DATE": {"STRING", "TIMESTAMP"},
    "TIME": {"STRING"},
    "BYTES": {"STRING"},
    "STRUCT": {"STRING"},
    "ARRAY": {"STRING"},
    "MAP": {"STRING"},
}
TIMES = {"TIMESTAMP", "DATE", "TIME"}


def decimal(precision: int, scale: int) -> SqlType:
    return SqlType("DECIMAL", digits=(precision, scale))


def castable(one: SqlType, other: SqlType) -> bool:
    return one.name == other.name or other.name in _CASTS[one.name]


def comparable(one: SqlType, other: SqlType, sign: str) -> bool:
    """Whether two values can be compared by this operator."""
    if one.numeric and other.numeric:
        return True
    if {one.name, other.name} <= TIMES | {"STRING"} and one.name != other.name:
        return "STRING" in {one.name, other.name} or {one.name, other.name} == {"TIMESTAMP", "DATE"}
    if one.name != other.name:
        return False
    return sign in {"=", "<>", "!="} or one.name not in {"BOOLEAN", "STRUCT", "ARRAY", "MAP"}


def arithmetic(sign: str, one: SqlType, other: SqlType) -> Known:  # noqa: PLR0911  # one return per rule
    """The type of a result; None if it is none."""
    if sign == "+" and one == other == STRING:
        return STRING
    if not (one.numeric and other.numeric):
        return None
    if DOUBLE in (one, other):
        return DOUBLE
    if "DECIMAL" not in (one.name, other.name):
        return BIGINT if BIGINT in (one, other) else INTEGER
    (p1, s1), (p2, s2) = (_digits(one), _digits(other))
    if sign == "*":
        return decimal(min(MAX_PRECISION, p1 + p2 + 1), min(MAX_PRECISION, s1 + s2))
    if sign == "/":
        scale = max(6, s1 + p2 + 1)
        return decimal(min(MAX_PRECISION, p1 - s1 + s2 + scale), min(MAX_PRECISION, scale))
    scale = max(s1, s2)
    return decimal(min(MAX_PRECISION, max(p1 - s1, p2 - s2) + scale + 1), scale)


def _digits(one: SqlType) -> tuple[int, int]:
    return one.digits if one.name == "DECIMAL" else (19 if one == BIGINT else 10, 0)
