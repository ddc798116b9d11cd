"""Lines of Python that read Avro's binary encoding: `b` are the bytes, `p` is the position.

Parts that follow one another and take always as many bytes are read together, by one call of `struct`. A time counts as one of
them, though its size may differ: see `tables/layouts/avro_times.py`.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, Never

from tables.layouts.avro_times import LAST, time_tables

_MAX_SHIFT = 63  # bits: a long has ten bytes at most
MAX_DECIMAL = 32  # bytes; 34 digits take 15


class Part(NamedTuple):
    """Bytes that are read together with others. Without a name they are stepped over."""

    form: str  # as `struct` writes it
    size: int
    name: str = ""
    time: bool = False


class Lines:
    """The lines of a function's body, and the values that they use by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values: dict[str, Any] = {
            "more": _more,
            "negative": _negative,
            "no_branch": _no_branch,
            "frm": int.from_bytes,
            "Unusual": (KeyError, TypeError, struct.error),
        }
        self._names: dict[int, str] = {}
        self.depth = 0
        self.functions: list[str] = []
        self.together: list[Part] = []  # parts that will be read by one call
        self._after: list[str] = []  # what is done with them then
        self._count = 0  # of variables

    def line(self, text: str) -> None:
        """Add a line that uses what was read, at the depth of the branch."""
        (self._after if self.together else self.lines).append(" " * self.depth + text)

    def value(self, value: Any) -> str:
        """The name of a value."""
        if id(value) not in self._names:
            self._names[id(value)] = f"k{len(self._names)}"
            self.values[self._names[id(value)]] = value  # which also keeps its id
        return self._names[id(value)]

    def compiled(self, function: list[str]) -> Any:
        """The function, which is called `decode`."""
        source = "\n".join([*self.functions, *function])
        exec(compile(source, "<avro>", "exec"), self.values)  # noqa: S102  # of our own lines and numbers, see the module
        return self.values["decode"]

    # ---- parts of a constant size

    def take(self, form: str, size: int, *, time: bool = False) -> str:
        """Read a part together with those before it. Returns its variable. `time`: its size may turn out otherwise."""
        if time and any(part.time for part in self.together):
            self.read_together()
        self._count += 1
        name = f"v{self._count}"
        self.together.append(Part(form, size, name, time=time))
        return name

    def read_together(self) -> None:
        """Write what reads the parts so far, and what is done with them."""
        parts, self.together = self.together, []
        after, self._after = self._after, []
        at = next((n for n, part in enumerate(parts) if part.time), None)
        if at is None:
            self._unpack(parts)
        else:
            time = parts[at]
            self.line("try:")
            self.depth += 1
            lows = [f"{time.name}_{n}" for n in range(time.size - LAST)]
            self._unpack(parts, ", ".join([*lows, time.name]))
            tables, known = time_tables(time.size)
            sums = [f"{self.value(tables[n])}[{low}]" for n, low in enumerate(lows)]
            self.line(" + ".join([f"{time.name} = {self.value(known)}[{time.name}]", *sums]))
            self.line(f"p += {sum(part.size for part in parts)}")
            self.depth -= 1
            self.line("except Unusual:")
            self.depth += 1
            self._unpack(parts[:at])
            self.long(time.name)
            self._unpack(parts[at + 1 :])
            self.depth -= 1
        self.lines += after

    def _unpack(self, parts: list[Part], time: str = "") -> None:
        """Write the call that reads these parts. `time`: the variables of the time among them, which may turn out otherwise."""
        names = [time if part.time else part.name for part in parts if part.name]
        size = sum(part.size for part in parts)
        if names:
            unpack = self.value(struct.Struct("<" + "".join(part.form for part in parts)).unpack_from)
            self.line(f"{', '.join(names)}, = {unpack}(b, p)")
        if size and not time:
            self.line(f"p += {size}")

    # ---- numbers

    def number(self) -> None:
        """Read a number into `x` as it is encoded, zigzag."""
        self.line("x = b[p]")
        self.line("p += 1")
        self.line("if x > 127: x, p = more(b, p, x)")

    def long(self, name: str) -> None:
        """Read a long into a variable. Three bytes of a positive one are read by a table, without a loop."""
        low = self.value(_LOWS)
        self.line("x = b[p]")
        self.line("try:")
        self.line(f" if x < 128: {name} = {self.value(_ZIGZAG)}[x]; p += 1")
        self.line(f" elif (y := b[p + 1]) < 128: {name} = {low}[x] + y * 64; p += 2")
        self.line(f" elif (z := b[p + 2]) < 128: {name} = {low}[x] + y * 64 + z * 8192 - 8192; p += 3")
        self.line(" else: raise TypeError")
        self.line("except TypeError:")
        self.line(" x, p = more(b, p + 1, x)")
        self.line(f" {name} = (x >> 1) ^ -(x & 1)")

    def length(self, name: str) -> None:
        """Read a number that is not negative."""
        self.number()
        self.line("if x & 1: negative(x)")
        self.line(f"{name} = x >> 1")

    # ---- bytes with their length in front

    def step_over_bytes(self) -> None:
        """Step over bytes with their length in front."""
        self.line(f"try: p += {self.value(_DISTANCES)}[b[p]]")
        self.line("except TypeError:")
        self.depth += 1
        self.length("x")
        self.line("p += x")
        self.depth -= 1

    def read_bytes(self) -> None:
        """Read bytes with their length in front into `x`."""
        self.line(f"try: e = p + {self.value(_DISTANCES)}[b[p]]; p += 1")
        self.line("except TypeError:")
        self.depth += 1
        self.length("x")
        self.line("e = p + x")
        self.depth -= 1
        self.line("x = b[p:e]")
        self.line("p = e")

    def read_decimal(self) -> None:
        """Read the digits of a decimal, which are bytes with their length in front, into `x`."""
        self.line(f"try: e = p + {self.value(_DECIMALS)}[b[p]]; p += 1")
        self.line("except TypeError:")
        self.depth += 1
        self.number()
        self.line(f"if x & 1 or not 0 < x <= {2 * MAX_DECIMAL}: no_branch(x >> 1)")
        self.line("e = p + (x >> 1)")
        self.depth -= 1
        self.line("x = frm(b[p:e]) if b[p] < 128 else frm(b[p:e], signed=True)")
        self.line("p = e")


_ZIGZAG = [(byte >> 1) ^ -(byte & 1) for byte in range(128)]  # a long of one byte
# By the first byte of more: what it adds to the long. None: the long is negative.
_LOWS = [(byte & 127) >> 1 if byte > 127 and byte % 2 == 0 else None for byte in range(256)]  # noqa: PLR2004  # not the last byte
# By the byte of a length: how far it is from there to the end of the bytes. None: the length has more bytes, or is none.
_DISTANCES = [1 + (byte >> 1) if byte < 128 and byte % 2 == 0 else None for byte in range(256)]  # noqa: PLR2004  # the last byte
_DECIMALS = [distance if 0 < byte <= 2 * MAX_DECIMAL else None for byte, distance in enumerate(_DISTANCES)]


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
