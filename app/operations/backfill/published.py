"""What an app has published of a stretch of history, and which of its windows have closed for good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from agents.engines import restored_engine
from agents.headers import producer_app
from agents.recovery import recover
from app.errors import StateError
from app.kafka.reader import Reader
from app.operations.backfill.ticks import Stretch
from app.settings import Settings
from app.settings.longer import LatePolicy
from tables.bar_formats.records import bar_of
from tables.bars import Bar
from tables.engine import Engine
from tables.further import Revision
from tables.recomputed import Place
from tables.state import Identity, Position


@dataclass
class Published:
    """One partition: the newest version of each bar, and how far the worker is, as its last checkpoint says."""

    position: Position
    settled: bool  # nothing but that checkpoint says what was published
    bars: dict[Place, Bar] = field(default_factory=dict)
    due: set[Place] = field(default_factory=set)  # windows that the worker is about to revise
    watermarks: dict[str, int] = field(default_factory=dict)  # by scope: broker, `broker|symbol`, or empty for the partition

    def watermark(self, key: bytes) -> int | None:
        """That of a symbol's scope: windows that end later may be open. None: the worker has not seen the scope."""
        name = key.decode()
        scopes = (name, name.partition("|")[0], "")
        return next((self.watermarks[scope] for scope in scopes if scope in self.watermarks), None)


async def published(
    reader: Reader, settings: Settings, partitions: int, number: int, stretch: Stretch, now: Identity, topics: Iterable[str]
) -> Published:
    """Read one partition. `topics`: those that exist. Raises `StateError` where its state does not fit the settings."""
    found = await recover(reader, settings, number, partitions, now)
    settled = not found.tail and not found.needs_first_checkpoint
    found.tail = []
    known = Published(found.position, settled)
    _take_clocks(known, restored_engine(settings, found))
    for topic, frame in bar_topics(settings).items():
        if topic in topics:
            await _take_bars(known, reader, settings, topic, frame, number, stretch)
    return known


def bar_topics(settings: Settings) -> dict[str, str]:
    """The topics of bars and of revisions, with the frame of each; a backfill may have written some, whatever `late_policy`."""
    return settings.model_copy(update={"late_policy": LatePolicy.correct}).bar_topics


def _take_clocks(known: Published, engine: Engine) -> None:
    windows, grace = engine.windows, engine.config.grace
    known.watermarks = {key: stream_time - grace for key, (stream_time, _) in engine.stream_times().items()}
    if windows.per_symbol:
        known.watermarks |= {key.decode(): symbol.scope.stream_time - grace for key, symbol in windows.symbols.items()}
        known.watermarks |= {key.decode(): rested.stream_time - grace for key, rested in windows.resting.items()}
    after = windows.after
    names = ("", *engine.config.frames)
    for item in () if after is None else after.further.items.values():
        if isinstance(item, Revision) and item.state is not None:
            known.due.add((names[item.frame], item.key, item.start))


async def _take_bars(
    known: Published, reader: Reader, settings: Settings, topic: str, frame: str, number: int, stretch: Stretch
) -> None:
    app_id = settings.app_id.encode()
    begin, end = await reader.bounds(topic, number)
    if begin >= end:
        return
    async for batch in reader.read(topic, number, begin, end):
        for record in batch:
            key, _, start = (record.key or b"").rpartition(b"|")
            if record.value is None or not start.isdigit() or not stretch.since <= int(start) < stretch.until:
                continue
            if producer_app(record.headers) != app_id:
                continue
            try:
                bar = bar_of(record.value, record.headers)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise StateError(f"{topic}[{number}], offset {record.offset}: not a bar of this version ({error})") from None
            place = frame, key, bar.bucket_start
            before = known.bars.get(place)
            if bar.bucket_end <= stretch.until and (before is None or bar.revision >= before.revision):
                known.bars[place] = bar
