"""With a repartitioned input: each committed record of the source has one copy, where its symbol belongs, in order.

The judge then looks at the copies as if the market had sent them, because they are what the engines read. This shares no code
with the worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from aiokafka.partitioner import murmur2

from tests.chaos.sent import SERIAL, SentLog
from tests.chaos.verdict import Verdict
from tests.support.ticks import Seen

Place = tuple[int, int]  # partition and offset
SOURCE, KEY = "barwheel-source", "barwheel-source-key"


def check_copies(
    topic: str, source: Sequence[Seen], copies: Sequence[Seen], partitions: int, verdict: Verdict
) -> dict[Place, Place]:
    """Compare the copies with the source; returns the place of each record's copy."""
    wanted = {(seen.partition, seen.offset): seen for seen in source}
    found: dict[Place, Place] = {}
    last: dict[tuple[int, int], int] = {}  # by partition of the source and of the copy: the last offset in the source
    times: Counter[Place] = Counter()
    strange, changed, elsewhere, disordered = [], [], [], []
    for copy in copies:
        name, partition, offset, timestamp = copy.headers.get(SOURCE, b"|-1|-1|-1").decode().rsplit("|", 3)
        place = int(partition), int(offset)
        seen = wanted.get(place)
        if seen is None or name != topic:
            strange.append(copy)
            continue
        times[place] += 1
        found[place] = copy.partition, copy.offset
        headers = {name: value for name, value in copy.headers.items() if name not in {SOURCE, KEY}}
        same = (copy.key, copy.value, int(timestamp), headers) == (seen.key, seen.value, seen.timestamp, dict(seen.headers))
        if not same:
            changed.append(copy)
        if copy.partition != (murmur2(seen.key or b"") & 0x7FFFFFFF) % partitions:
            elsewhere.append(copy)
        way = place[0], copy.partition
        if place[1] <= last.get(way, -1):
            disordered.append(copy)
        last[way] = max(place[1], last.get(way, -1))
    verdict.add("a copy of nothing", strange)
    verdict.add("a copy that was changed", changed)
    verdict.add("a copy in another partition than its symbol's", elsewhere)
    verdict.add("copies in another order", disordered)
    verdict.add("a record without a copy", sorted(wanted.keys() - times.keys()))
    verdict.add("a record with several copies", sorted(place for place, count in times.items() if count > 1))
    return found


def as_sent(sent: SentLog, copies: Sequence[Seen]) -> SentLog:
    """What was sent, as if it had been sent to where the copies are. When their writer knew of them, nobody can tell."""
    places = {int(copy.headers[SERIAL]): (copy.partition, copy.offset) for copy in copies if SERIAL in copy.headers}
    records = [
        record._replace(partition=places[serial][0]) if serial in places else record
        for serial, record in enumerate(sent.records)
    ]
    # a record that was sent again has two copies: which of them was acknowledged decides nothing
    once = {serial: place for serial, place in places.items() if not sent.repeated[serial]}
    return SentLog(records, once, {}, sent.repeated)


def as_arrived(copies: Sequence[Seen]) -> list[Seen]:
    """The copies at the times at which their records arrived in the source."""
    times = (int(copy.headers[SOURCE].rpartition(b"|")[2]) if SOURCE in copy.headers else copy.timestamp for copy in copies)
    return [replace(copy, timestamp=time) for copy, time in zip(copies, times, strict=True)]


def of_copies(topic: str, side: Sequence[Seen], places: dict[Place, Place], verdict: Verdict) -> list[Seen]:
    """Records of a side topic, which name their place in the source, as if they named that of the copy."""
    found, wrong = [], []
    for seen in side:
        name, partition, offset = (seen.key or b"|-1|-1").decode().rsplit("|", 2)
        place = places.get((int(partition), int(offset)))
        said = seen.headers.get("repartitioned", b"|-1|-1|").decode().rsplit("|", 3)[1:3]
        if name != topic or place is None or [str(number) for number in place] != said:
            wrong.append(seen)
        else:
            found.append(replace(seen, key=f"copy|{place[0]}|{place[1]}".encode()))
    verdict.add("late or rejected, with a wrong place in the source", wrong)
    return found
