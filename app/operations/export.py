"""Copies bars from one of their topics into Parquet files, and goes on where the last export ended."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import InputError, StateError
from app.finals import BarQuery, topic_consumer
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.identity import identify
from app.operations.export_files import Record, Row, delete_unfinished, read_record, write_chunk
from app.settings import Settings

CHUNK_BARS = 200_000  # at once in memory
_POLL_MS = 200


class Exported(NamedTuple):
    """What an export wrote. `deleted`: files of one that was interrupted."""

    bars: int
    files: int
    deleted: int
    positions: Mapping[int, int]


Report = Callable[[int, int], None]  # offsets that have been read, of how many


def topic_of(settings: Settings, frame: str, *, revisions: bool) -> str:
    """The topic of the final or the revised bars of a frame; empty: the base bars. Raises `InputError` where there is none."""
    frame = "" if frame == settings.size_text else frame
    if frame and frame not in settings.frame_names:
        kept = f"frames={settings.frames}" if settings.frames else "none is kept (`frames`)"
        raise InputError(f"--frame {frame}: is exported from its own topic, and {kept}; `app bars --frame` folds any frame")
    if revisions and not settings.corrects:
        raise InputError("--revisions: late ticks revise no bars with late_policy=drop")
    return settings.corrections_topic_of(frame) if revisions else settings.finals_topic_of(frame)


async def export_bars(
    settings: Settings, cluster: Cluster, topic: str, directory: Path, scale: int, *, over_gaps: bool, report: Report
) -> Exported:
    """Export the bars that the topic has now.

    Raises `InputError` where the directory belongs to another app or topic, or a price does not fit, and `StateError` where
    bars were deleted before they were exported, unless `over_gaps`.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("exporting Parquet needs pyarrow: pip install 'barwheel[parquet]'")
    async with admin(cluster) as client:
        topic_id = (await identify(client, [topic])).topics.get(topic, "")
    record = _checked(read_record(directory), directory, settings.app_id, topic, topic_id, scale)
    async with topic_consumer(cluster, topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {topic} does not exist yet: start `app worker` first")
        places = sorted(consumer.assignment())
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for tp in places:
            record.positions[tp.partition] = _start(record, tp, begins[tp], ends[tp], over_gaps=over_gaps)
            consumer.seek(tp, record.positions[tp.partition])
        deleted = delete_unfinished(directory, record.positions)
        bars, files = await _copy(consumer, record, directory, ends, BarQuery(settings.app_id), report)
    return Exported(bars, files, deleted, record.positions)


def _checked(record: Record | None, directory: Path, app_id: str, topic: str, topic_id: str, scale: int) -> Record:
    if record is None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{directory}: {error.strerror}") from None
        if any(directory.iterdir()):
            raise InputError(f"{directory}: is not empty and holds no export; give another directory")
        return Record(app_id=app_id, topic=topic, topic_id=topic_id, scale=scale, positions={})
    for what, known, now in (
        ("app_id", record.app_id, app_id),
        ("topic", record.topic, topic),
        ("--scale", str(record.scale), str(scale)),
    ):
        if known != now:
            raise InputError(f"{directory}: holds an export with {what} {known}, not {now}; give another directory")
    if record.topic_id and topic_id and record.topic_id != topic_id:
        raise InputError(f"{directory}: topic {record.topic} was created again since; give another directory")
    return record


def _start(record: Record, tp: TopicPartition, begin: int, end: int, *, over_gaps: bool) -> int:
    """Where reading begins. Raises `StateError` where that is not where the last export ended."""
    position = record.positions.get(tp.partition)
    if position is None:
        return begin
    where = f"{tp.topic}[{tp.partition}]"
    if position > end:
        raise StateError(f"{where} ends at {end}, and was exported up to {position}: was it created again? Export elsewhere")
    if position < begin and not over_gaps:
        raise StateError(
            f"{where} begins at {begin}: offsets {position} to {begin - 1} were deleted before they were exported; "
            "--over-gaps goes on without them"
        )
    return max(position, begin)


async def _copy(
    consumer: AIOKafkaConsumer,
    record: Record,
    directory: Path,
    ends: Mapping[TopicPartition, int],
    query: BarQuery,
    report: Report,
) -> tuple[int, int]:
    """Read up to the ends, a chunk at a time; returns the numbers of bars and files."""
    total = sum(end - record.positions[tp.partition] for tp, end in ends.items())
    left = total
    bars = files = 0
    while left > 0:
        first = dict(record.positions)
        rows: list[Row] = []
        while len(rows) < CHUNK_BARS and left > 0:
            for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                found = ((one, query.match(one)) for one in records if one.offset < ends[tp])
                rows += [Row(tp.partition, one.offset, bar) for one, bar in found if bar is not None]
            for tp, end in ends.items():
                record.positions[tp.partition] = min(end, await consumer.position(tp))
            left = sum(end - record.positions[tp.partition] for tp, end in ends.items())
            report(total - left, total)
        files += write_chunk(directory, rows, first, record.scale)
        bars += len(rows)
        record.write(directory)
    return bars, files
