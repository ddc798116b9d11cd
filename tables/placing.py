"""Says to which partition of the repartition topic a record of a source goes, and what is written there. Pure.

A record goes to the partition of its symbol, `broker|symbol`. Its symbol is found as the engine finds it: by its key alone
where that says both names, else also by its value. A record whose symbol cannot be found goes to the partition of its own key,
or to that with its partition's number, and the engine rejects it. It is then never taken to be a tick, not even if a schema
becomes known in the meantime: one symbol would lie in two partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tables.layouts.config import ParsedLayout
from tables.layouts.fields import Constant
from tables.layouts.identity import Identities
from tables.layouts.layout import TickLayout
from tables.record_size import CUT_TO, OVERHEAD, headers_size
from tables.records import Record
from tables.repartitioned import KEY_HEADER, REJECTED_HEADER, SOURCE_HEADER
from tables.ticks import MAX_KEY, RejectedError

MOST_DETAIL = 1_000  # characters
OURS = 16 * 1024  # upper bound of the bytes of a usual key and our headers
Header = tuple[str, bytes | None]
PartitionOf = Callable[[bytes, int], int]


# What is written for one record: the partition, key, value and headers; and whether its symbol is known. A plain tuple, as a
# class would cost as much as all the rest.
Copy = tuple[int, bytes | None, bytes | None, list[Header], bool]


class Placing:
    """Places the records of all sources."""

    def __init__(
        self, parsed: ParsedLayout, layout: TickLayout, partitions: int, partition_of: PartitionOf, *, max_size: int
    ) -> None:
        """`layout`: of the sources. `partitions`: of the repartition topic, and `max_size` of its records, in bytes.

        `partition_of`: the partition of a key among so many.
        """
        broker, symbol = (parsed.fields.sources.get(part) for part in ("broker", "symbol"))
        said = {"broker": broker, "symbol": symbol}
        # The engine compares what the value says with the key. Here the key is enough.
        self.by_key = all(part in parsed.key.parts or isinstance(source, Constant) for part, source in said.items())
        constants = (source if isinstance(source, Constant) else None for source in said.values())
        self._identities = Identities(parsed.key, *constants)
        self._layout = layout
        self._partitions = partitions
        self._partition_of = partition_of
        self._max_size = max_size - OVERHEAD
        self._surely_fits = self._max_size - OURS
        self._cut_to = min(CUT_TO, self._max_size // 4)  # of the value, of the key, and of the source's key in a header
        self._numbers: dict[bytes, int] = {}  # the partition of each symbol

    def copies(self, topic: str, partition: int, records: Iterable[Record]) -> Iterator[Copy]:
        """The copies of records of one partition of a source, in order."""
        where = f"{topic}|{partition}|".encode()
        numbers, surely_fits = self._numbers, self._surely_fits
        for record, symbol, rejected in self._named(records):
            own, value, theirs = record.key, record.value, record.headers
            place = (SOURCE_HEADER, b"%b%d|%d" % (where, record.offset, record.timestamp))
            headers: list[Header] = [*theirs, place] if theirs else [place]
            if symbol is None:
                number = self._partition_of(own, self._partitions) if own else partition % self._partitions
                if rejected is not None:
                    headers.append(_rejected(rejected))
                key = own
            else:
                if symbol != own:
                    headers.append((KEY_HEADER, own))
                number = numbers[symbol] if symbol in numbers else self._number(symbol)
                key = symbol
            if theirs or (value and len(value) > surely_fits) or (own and len(own) > MAX_KEY):
                key, value, headers = self._cut_if_needed(key, value, headers)
            yield number, key, value, headers, symbol is not None

    def _named(self, records: Iterable[Record]) -> Iterator[tuple[Record, bytes | None, RejectedError | None]]:
        """Each record with its `broker|symbol`. Without one, with the error that rejects it, where it is not the key's."""
        if self.by_key:
            for record in records:
                yield record, self._by_key(record.key), None
        elif self._layout.decoded is not None:
            for record, symbol, tick in self._layout.decoded(records):
                if symbol is None and isinstance(tick, RejectedError):
                    yield record, *self._by_layout(record, tick)
                else:  # a tick, or a marker
                    yield record, symbol, None

    def _by_key(self, key: bytes | None) -> bytes | None:
        known = self._identities.known.get(key)
        if known is not None:
            return known
        try:
            return self._identities.of_record(key, None, None)
        except RejectedError:
            return None

    def _by_layout(self, record: Record, rejected: RejectedError) -> tuple[bytes | None, RejectedError | None]:
        """The names of a record that is no tick: its symbol may still be known."""
        try:
            return "|".join(self._layout.name_of(record)).encode(), None
        except RejectedError:
            return None, rejected

    def _number(self, key: bytes) -> int:
        number = self._numbers[key] = self._partition_of(key, self._partitions)
        return number

    def _cut_if_needed(
        self, key: bytes | None, value: bytes | None, headers: list[Header]
    ) -> tuple[bytes | None, bytes | None, list[Header]]:
        """Cut a record that the topic does not take. It can be larger than in the source, where it was compressed."""
        size = _size(key, value, headers)
        if size <= self._max_size:
            return key, value, headers
        own = max(at for at, (name, _) in enumerate(headers) if name == SOURCE_HEADER)  # how many are the source's
        detail = f"value: the record has {size} bytes, and the repartition topic takes {self._max_size + OVERHEAD}"
        ours = [header for header in headers[own:] if header[0] != REJECTED_HEADER]
        ours.append(_rejected(RejectedError("size", detail)))
        value = None if value is None else value[: self._cut_to]
        if _size(key, value, [*headers[:own], *ours]) <= self._max_size:
            return key, value, [*headers[:own], *ours]
        key = None if key is None else key[: self._cut_to]
        return key, value, [(name, content and content[: self._cut_to]) for name, content in ours]


def _rejected(error: RejectedError) -> Header:
    return REJECTED_HEADER, f"{error.reason}|{error.detail[:MOST_DETAIL]}".encode(errors="backslashreplace")


def _size(key: bytes | None, value: bytes | None, headers: list[Header]) -> int:
    return len(key or b"") + len(value or b"") + headers_size(headers)
