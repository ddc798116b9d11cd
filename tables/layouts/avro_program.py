"""Writes Python that goes over Avro's binary encoding: reads what is wanted, and steps over the rest.

Every loop takes at least one byte in each turn, so that no bytes, however hostile, keep it busy. A position behind the end
shows at the next byte, or in the comparison after the last field.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tables.layouts.avro_lines import MAX_DECIMAL, Lines, Part
from tables.layouts.avro_schema import AvroType
from tables.layouts.avro_times import LAST

_FORMATS = {"float": "f", "double": "d", "boolean": "B"}
_MOST_TOGETHER = 1 << 20  # bytes that are read together


class Program(Lines):
    """The lines of a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()  # the parts of a tick that are read
        self.always: set[str] = set()  # those of them that every value has
        self._skippers: dict[AvroType, str] = {}

    def assigned(self, attribute: str) -> None:
        """Note that a part of a tick has been read."""
        self.targets.add(attribute)
        if not self.depth:
            self.always.add(attribute)

    # ---- reading

    def read(self, kind: AvroType) -> str:
        """Read a value. Returns its variable. A decimal is an integer, an enum its index; of a string it is the bytes."""
        if kind.kind in _FORMATS:
            name = self.take(_FORMATS[kind.kind], struct.calcsize(f"<{_FORMATS[kind.kind]}"))
            if kind.kind == "boolean":
                self.line(f"if {name} > 1: no_branch({name})")
                self.line(f"{name} = {name} == 1")
            return name
        if kind.kind == "fixed":
            name = self.take(f"{kind.size}s", kind.size)
            if kind.logical == "decimal":
                self.line(f"if not 0 < len({name}) <= {MAX_DECIMAL}: no_branch({kind.size})")
                self.line(f"{name} = frm({name}, signed=True)")
            return name
        self.read_together()
        if kind.kind in ("int", "long"):
            self.long("x")
        elif kind.kind == "enum":
            self.length("x")
            self.line(f"if x >= {len(kind.symbols)}: no_branch(x)")
        elif kind.logical == "decimal":
            self.read_decimal()
        else:
            self.read_bytes()
        return "x"

    def read_time(self, size: int) -> str:
        """Read a long that is a time, and mostly takes this many bytes. Returns its variable."""
        return self.take("B" * (size - LAST) + f"{LAST}s", size, time=True)

    @contextmanager
    def union(self, kind: AvroType) -> Iterator[Iterator[AvroType]]:
        """Read which branch of a union it is. The lines added while a branch is taken from the iterator belong to it."""
        self.read_together()
        self.number()

        def branches() -> Iterator[AvroType]:
            for index, branch in enumerate(kind.branches):
                self.line(f"{'elif' if index else 'if'} x == {2 * index}:")
                self.depth += 1
                before = len(self.lines)
                yield branch
                self.read_together()
                if len(self.lines) == before:
                    self.line("pass")
                self.depth -= 1

        yield branches()
        self.line("else: no_branch(x)" if kind.branches else "no_branch(x)")

    # ---- stepping over

    def skip(self, kind: AvroType) -> None:
        """Step over a value."""
        size = kind.constant_size()
        if size is not None and size <= _MOST_TOGETHER:
            if size:
                self.together.append(Part(f"{size}x", size))
            return
        self.read_together()
        if size is not None:
            self.line(f"p += {size}")
        elif kind.kind in ("int", "long", "enum"):
            self.line("while b[p] > 127: p += 1")
            self.line("p += 1")
        elif kind.kind in ("bytes", "string"):
            self.step_over_bytes()
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
            outer, depth, self.lines, self.depth = self.lines, self.depth, [], 1
            if kind.kind == "record":
                for _, inner in kind.fields:
                    self.skip(inner)
                self.read_together()
            else:
                self._skip_blocks(kind)
            self.functions += [f"def {name}(b, p):", *self.lines, " return p"]
            self.lines, self.depth = outer, depth
        return name

    def _skip_blocks(self, kind: AvroType) -> None:
        """An array or a map is blocks: a count and so many items; or a negative count, a size in bytes, and the items."""
        assert kind.items is not None  # noqa: S101  # arrays and maps have them
        self.line("while True:")
        self.depth += 1
        self.number()
        self.line("if not x: break")
        self.line("if x & 1:")
        self.depth += 1
        self.length("x")
        self.line("p += x")
        self.line("continue")
        self.depth -= 1
        size = kind.items.constant_size()
        if kind.kind == "array" and size is not None:
            self.line(f"p += (x >> 1) * {size}")
        else:
            self.line("for _ in range(x >> 1):")
            self.depth += 1
            if kind.kind == "map":
                self.step_over_bytes()
            self.skip(kind.items)
            self.read_together()
            self.depth -= 1
        self.depth -= 1
