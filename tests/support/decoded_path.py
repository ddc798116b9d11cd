"""Writes `tables/hot_decoded.py`, the fast path for ticks that a layout has decoded, from the fast path of `tables/hot.py`.

    python -m tests.support.decoded_path

The two loops differ in where a tick comes from, and in nothing else. One loop for both would cost the default layout a test or
a call a tick. So the second one is written by this program, and a test holds it to the first one.
"""

from __future__ import annotations

from pathlib import Path

import tables

SOURCE, TWIN = (Path(tables.__file__).parent / name for name in ("hot.py", "hot_decoded.py"))
CHANGES = (  # what is in the source, once, and what is in the twin
    (
        '"""The fast path: a plain tick of a known symbol that closes nothing, folded without a function call.\n',
        '"""The fast path of `tables/hot.py` for ticks that a layout has decoded. Written by tests/support/decoded_path.py.\n',
    ),
    (
        """
`tables/hot_decoded.py` is the same loop for ticks that a layout has decoded, written by `python -m tests.support.decoded_path`.
""",
        "",
    ),
    ("from typing import Any\n\nimport msgspec\n\n", "\n"),
    ("from tables.records import Record\n", "from tables.records import DecodedRecord, Record, TickRecord\n"),
    ("RawTick, RejectedError\n", "RawTick\n"),
    (
        """_NO_TICK = (
    *(msgspec.MsgspecError, DecimalException, TypeError, RecursionError, UnicodeDecodeError, RejectedError),
    AttributeError,  # of a price that is missing
)
""",
        "",
    ),
    ("class FastPath:\n", "class DecodedPath:\n"),
    (
        "        decode: Callable[[Any], RawTick],\n",
        "        decoded: Callable[[Iterable[Record]], Iterable[DecodedRecord]],\n",
    ),
    (
        "        self._decode: Callable[[Any], Any] = decode  # typed locals follow the call; a cast would cost one more\n",
        "        self._decoded = decoded\n",
    ),
    (
        "        decode, check_digits, floor, too_large = self._decode, self._check_digits, self._floor, _TOO_LARGE\n",
        "        check_digits, floor, too_large = self._check_digits, self._floor, _TOO_LARGE\n",
    ),
    (
        "        for record in records:\n            symbol = symbols.get(record.key)\n            tick: Any = None\n",
        "        for record, key, tick in self._decoded(records):\n            symbol = symbols.get(key)\n",
    ),
    ("                    tick = decode(record.value)\n", ""),
    (
        "except _NO_TICK:",
        "except (AttributeError, DecimalException, TypeError):  # an error is no tick",
    ),
    (
        """                    if (
                        min_ts <= ts <= latest
                        and ts < scope.deadline
                        and not tick.heartbeat
                        and tick.qty is None
                        and tick.broker is None
                        and tick.symbol is None
                    ):
""",
        "                    if min_ts <= ts <= latest and ts < scope.deadline and not tick.heartbeat and tick.qty is None:\n",
    ),
    (
        "                process(record, None, tick)\n",
        "                process(TickRecord.of(record, key, tick), None, None)\n",
    ),
)


def twin() -> str:
    """The text of the second fast path. Raises `ValueError` where a place that differs is not in the first one, or not once."""
    text = SOURCE.read_text()
    for old, new in CHANGES:
        if text.count(old) != 1:
            raise ValueError(f"{SOURCE}: {old!r} must be in it once; change {Path(__file__).name} with it")
        text = text.replace(old, new)
    return text


if __name__ == "__main__":
    TWIN.write_text(twin())
