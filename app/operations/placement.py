"""Looks for symbols that live in two partitions, in records of the input and of the finals. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from app.doubled import REMEDY, and_list
from app.finals import ORDER, BarQuery, PlacedBar, doubled
from app.kafka.partitioner import partition_of
from app.settings import Settings
from tables.ticks import shown


class Finding(NamedTuple):
    """What was found: `level` is `note` or `wrong`."""

    level: str
    text: str
    advice: str


def in_ticks(topic: str, partitions: int, records: Iterable[Any]) -> Iterator[Finding]:
    """What records of the input say. It has so many partitions.

    A symbol in two partitions is wrong. One that is in a single other one than Kafka's default partitioner gives it is noted.
    """
    places: dict[bytes, set[int]] = {}
    for record in records:
        if record.key:  # a marker, see idle_close=marker, has none
            places.setdefault(record.key, set()).add(record.partition)
    in_two = [key for key, numbers in places.items() if len(numbers) > 1]
    if in_two:
        key = min(in_two)
        where = and_list(tuple(sorted(places[key])))
        text = f"topic {topic}: {len(in_two)} of {len(places)} symbols live in two partitions, such as {shown(key)} in {where}"
        yield Finding("wrong", f"{text}: each partition makes bars of its own", REMEDY)
        return
    elsewhere = [key for key, numbers in places.items() if partition_of(key, partitions) not in numbers]
    if elsewhere:
        text = (
            f"topic {topic}: {len(elsewhere)} of {len(places)} symbols are not where Kafka's default partitioner (murmur2) puts"
        )
        yield Finding("note", f"{text} them", "no fault, as long as all producers place a symbol alike")


def in_finals(settings: Settings, records: Iterable[Any]) -> Iterator[Finding]:
    """What records of the finals say."""
    query = BarQuery(settings.app_id)
    bars = [PlacedBar(record.partition, bar) for record in records if (bar := query.match(record)) is not None]
    last = {(placed.partition, placed.order): placed for placed in bars}  # a repeated key is no second bar
    found = doubled(sorted(last.values(), key=ORDER))
    if found is not None:
        yield Finding("wrong", f"topic {settings.finals_topic}: {found.text}", REMEDY)
