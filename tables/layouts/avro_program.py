"""Writes Python that goes over Avro's binary encoding: `b` are the bytes, `p` is the position, `x` the value just read.

Every loop takes at least one byte in each turn, so that no bytes, however hostile, keep it busy. A position behind the end
shows at the next byte, or in the comparison after the last field.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Never

from tables.layouts.avro_schema import AvroType

_UNPACK = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}
_EIGHT = struct.Struct("<Q")
_MAX_SHIFT = 63  # bits: a long has ten bytes at most
_MAX_DECIMAL = 32  # bytes; 34 digits take 15


class Program:
    """The lines of a function's body, and the values that they use by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.targets: set[str] = set()  # the parts of a tick that are read
        self.values: dict[str, Any] = {"more": _more, "negative": _negative, "no_branch": _no_branch, "frm": int.from_bytes}
        self._names: dict[int, str] = {}
        self._depth = 0
        self._skippers: dict[AvroType, str] = {}
        self._functions: list[str] = []

    def line(self, text: str) -> None:
        """Add a line, at the depth of the branch."""
        self.lines.append(" " * self._depth + text)

    def value(self, value: Any) -> str:
        """The name of a value."""
        if id(value) not in self._names:
            self._names[id(value)] = f"k{len(self._names)}"
            self.values[self._names[id(value)]] = value  # which also keeps its id
        return self._names[id(value)]

    def compiled(self, function: list[str]) -> Any:
        """The function, which is called `decode`."""
        source = "\n".join([*self._functions, *function])
        exec(compile(source, "<avro>", "exec"), self.values)  # noqa: S102  # of our own lines and numbers, see the module
        return self.values["decode"]

    # ---- reading

    def read(self, kind: AvroType) -> None:
        """Read a value into `x`: numbers, text and booleans; a decimal as an integer, an enum as its index."""
        if kind.kind in ("int", "long"):
            if kind.kind == "long":
                self._six_bytes()
            else:
                self._number()
            self.line("x = (x >> 1) ^ -(x & 1)")
        elif kind.kind == "enum":
            self._length("x")
            self.line(f"if x >= {len(kind.symbols)}: no_branch(x)")
        elif kind.kind in _UNPACK:
            self.line(f"x = {self.value(_UNPACK[kind.kind].unpack_from)}(b, p)[0]")
            self.line(f"p += {_UNPACK[kind.kind].size}")
        elif kind.kind == "boolean":
            self.line("x = b[p] == 1")
            self.line("if b[p] > 1: no_branch(b[p])")
            self.line("p += 1")
        else:
            if kind.kind == "fixed":
                self.line(f"e = p + {kind.size}")
            else:
                self._length("x")
                self.line("e = p + x")
            if kind.logical == "decimal":
                self.line(f"if not p < e <= p + {_MAX_DECIMAL}: no_branch(e - p)")
                self.line("x = frm(b[p:e], 'big', signed=True)")
            elif kind.kind == "string":
                self.line("x = b[p:e].decode()")
            else:
                self.line("x = b[p:e]")
            self.line("p = e")

    @contextmanager
    def union(self, kind: AvroType) -> Iterator[Iterator[AvroType]]:
        """Read which branch of a union it is. The lines added while a branch is taken from the iterator belong to it."""
        self._number()

        def branches() -> Iterator[AvroType]:
            for index, branch in enumerate(kind.branches):
                self.line(f"{'elif' if index else 'if'} x == {2 * index}:")
                self._depth += 1
                before = len(self.lines)
                yield branch
                if len(self.lines) == before:
                    self.line("pass")
                self._depth -= 1

        yield branches()
        self.line("else: no_branch(x)" if kind.branches else "no_branch(x)")

    # ---- stepping over

    def skip(self, kind: AvroType) -> None:
        """Step over a value."""
        size = kind.constant_size()
        if size is not None:
            self.line(f"p += {size}")
        elif kind.kind in ("int", "long", "enum"):
            self.line("while b[p] > 127: p += 1")
            self.line("p += 1")
        elif kind.kind in ("bytes", "string"):
            self._length("x")
            self.line("p += x")
        elif kind.kind == "union":
            with self.union(kind) as branches:
                for branch in branches:
                    self.skip(branch)
        else:
            self.line(f"p = {self._skipper(kind)}(b, p)")

    def _skipper(self, kind: AvroType) -> str:
        """A function that steps over a record, an array or a map: a type may hold itself, and be used in many places."""
        name = self._skippers.get(kind)
        if name is None:
            name = self._skippers[kind] = f"skip{len(self._skippers)}"
            outer, depth, self.lines, self._depth = self.lines, self._depth, [], 1
            if kind.kind == "record":
                for _, inner in kind.fields:
                    self.skip(inner)
            else:
                self._skip_blocks(kind)
            self._functions += [f"def {name}(b, p):", *self.lines, " return p"]
            self.lines, self._depth = outer, depth
        return name

    def _skip_blocks(self, kind: AvroType) -> None:
        """An array or a map is blocks: a count and so many items; or a negative count, a size in bytes, and the items."""
        assert kind.items is not None  # noqa: S101  # arrays and maps have them
        self.line("while True:")
        self._depth += 1
        self._number()
        self.line("if not x: break")
        self.line("if x & 1:")
        self._depth += 1
        self._length("x")
        self.line("p += x")
        self.line("continue")
        self._depth -= 1
        size = kind.items.constant_size()
        if kind.kind == "array" and size is not None:
            self.line(f"p += (x >> 1) * {size}")
        else:
            self.line("for _ in range(x >> 1):")
            self._depth += 1
            if kind.kind == "map":
                self._length("x")
                self.line("p += x")
            self.skip(kind.items)
            self._depth -= 1
        self._depth -= 1

    # ---- numbers

    def _number(self) -> None:
        """Read a number into `x` as it is encoded, zigzag."""
        self.line("x = b[p]")
        self.line("p += 1")
        self.line("if x > 127: x, p = more(b, p, x)")

    def _six_bytes(self) -> None:
        """The same for a long, which often is a time in milliseconds: six bytes. They are taken together, without a loop."""
        unpack = self.value(_EIGHT.unpack_from)
        self.line(f"if b[p] > 127 and p + 8 <= len(b) and (y := {unpack}(b, p)[0]) & 0x808080808080 == 0x8080808080:")
        self._depth += 1
        self.line("x = y & 0x007f007f007f | (y & 0x7f007f007f00) >> 1")  # pairs of seven bits, then all of them
        self.line("x = x & 0x3fff | x >> 2 & 0xfffc000 | x >> 4 & 0x3fff0000000")
        self.line("p += 6")
        self._depth -= 1
        self.line("else:")
        self._depth += 1
        self._number()
        self._depth -= 1

    def _length(self, name: str) -> None:
        """Read a number that is not negative."""
        self._number()
        self.line("if x & 1: negative(x)")
        self.line(f"{name} = x >> 1")


def _more(data: bytes, at: int, number: int) -> tuple[int, int]:
    """The further bytes of a number, and where it ends."""
    number &= 127
    shift = 7
    while True:
        byte = data[at]
        at += 1
        if byte < 128:  # noqa: PLR2004  # the last one
            return number | byte << shift, at
        number |= (byte & 127) << shift
        shift += 7
        if shift > _MAX_SHIFT:
            raise ValueError("a number is too long")


def _negative(number: int) -> Never:
    raise ValueError(f"a length of {-(number >> 1) - 1}")


def _no_branch(number: int) -> Never:
    raise ValueError(f"a choice or length of {number} that there is not")
