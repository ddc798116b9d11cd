"""Bars beside the base finals: longer bars and revisions. They are part of the checkpoint's transaction, so they need no tail.

With `late_policy=correct` the record of each bar has a header `state`: the window as `tables.window.pack_window` gives it, with
what a bar does not show. Recovery makes of these headers the windows that can still be corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from importlib import metadata
from itertools import groupby
from pathlib import Path
from zoneinfo import TZPATH

from agents.bar_schemas import bar_records
from app.kafka.batches import Header, Outgoing, Run
from app.kafka.producers import BatchProducer, acknowledged
from app.settings import Settings
from tables.bar_formats.records import TakeRecords
from tables.emission import Closed

FRAME_HEADER, STATE_HEADER, REVISION_HEADER = "frame", "state", "revision"


class BeyondOutputs:
    """The bars of one partition that the next checkpoint sends."""

    def __init__(self, settings: Settings, partition: int) -> None:
        self._settings = settings
        self._partition = partition
        self._pending: list[Closed] = []
        self._take: dict[str, TakeRecords] = {}  # by topic

    def __len__(self) -> int:
        """How many steps wait."""
        return len(self._pending)

    def add(self, steps: list[Closed]) -> None:
        """Keep bars for the next checkpoint."""
        self._pending += steps

    def take(self) -> list[Closed]:
        """Those since the last call; the caller sends them."""
        pending, self._pending = self._pending, []
        return pending

    async def send(self, producer: BatchProducer, steps: list[Closed], headers: list[Header]) -> dict[str, int]:
        """Send bars to their topics, wait for the acknowledgments, and return the end offsets of these topics."""
        ends: dict[str, int] = {}
        for topic, of_topic in groupby(sorted(steps, key=self._topic_of), key=self._topic_of):
            sent = await producer.send(topic, self._partition, self._records(topic, of_topic, headers))
            await acknowledged(sent)
            if sent and (end := sent[-1].end) is not None:
                ends[topic] = end
        return ends

    def _topic_of(self, step: Closed) -> str:
        settings = self._settings
        return settings.corrections_topic_of(step.frame) if step.revision else settings.finals_topic_of(step.frame)

    def _records(self, topic: str, steps: Iterable[Closed], headers: list[Header]) -> Iterator[Outgoing | Run]:
        take = self._take.get(topic)
        if take is None:
            take = self._take[topic] = bar_records(self._settings, topic)
        state_header = STATE_HEADER if self._settings.corrects else None
        for step in steps:
            own = list(headers)
            if step.frame:
                own.append((FRAME_HEADER, step.frame.encode()))
            if step.revision:
                own.append((REVISION_HEADER, b"%d" % step.revision))
            yield from take([step], own, state_header)


def finals_records(settings: Settings) -> TakeRecords:
    """What makes the records of the base finals."""
    take = bar_records(settings, settings.finals_topic)
    return partial(take, state_header=STATE_HEADER) if settings.corrects else take


def tz_version() -> str:
    """The version of the time zone database that `zoneinfo` reads, for people; empty if it does not say."""
    for directory in map(Path, TZPATH):
        if directory.is_dir() and any(directory.iterdir()):
            for name in ("+VERSION", "tzdata.zi"):
                path = directory / name
                if path.is_file():
                    with path.open() as lines:
                        return lines.readline().removeprefix("# version").strip()
            return ""
    try:
        return metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return ""
