"""Bars beside the base finals: the newest revision of each bar (`late_policy=correct`), and the bars of each frame (`frames`).

Only what the settings turn on is in the plan. The variables `bars_correct` and `bars_frames` say what that is.

**A table of current bars must not go back.** Finals and revisions are in two topics, which ksqlDB reads in any order. So
LATEST_BY_OFFSET over both would put a final over its revision. But each of the two topics is in order: a final is never
replaced, and the revisions of a bar come by their numbers. So the table keeps the latest of each kind apart, and shows the
revision as soon as it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrations.ksql.expressions import Column, Expression
from migrations.ksql.functions import case, latest, maximum, null
from migrations.ksql.queries import select
from migrations.ksql.sources import Insert, SourceType, Stream, Table
from migrations.ksql.types import INTEGER
from migrations.shipped.columns import KEY
from migrations.shipped.finals import FORMAT, BarColumns, Events

CENTURY = (
    36_525 * 86_400_000
)  # records have the times of bars, which may be old when they are copied; none may be deleted unread
MONTH = "1M"


@dataclass(frozen=True)
class Names:
    """How the names and the topics of one length of bars begin. `finals`, `corrections`: the topics of the application."""

    name: str
    topic: str
    query: str
    finals: str
    corrections: str


BASE = Names(
    "${bars_instance}bar_${bars_window}",
    "${topics}bar_${bars_window}",
    "${bars_instance}BAR_${bars_window_upper}",
    "${finals}",
    "${topics}bar_${bars_window}_corrections",
)


def names_of(frame: str) -> Names:
    """Those of a frame. Case makes no difference to ksqlDB: a month, `1M`, is `1mo` there, or it would be a minute."""
    part = "1mo" if frame == MONTH else frame
    return Names(
        f"${{bars_instance}}bar_{part}",
        f"${{topics}}bar_{part}",
        f"${{bars_instance}}BAR_{part.upper()}",
        f"${{topics}}bar_{frame}_final",
        f"${{topics}}bar_{frame}_corrections",
    )


class RevisedColumns(BarColumns):
    """A record of the topic of revisions."""

    corrected = Column(INTEGER)


def revised(names: Names, events: SourceType) -> list[object]:
    """The stream of revisions, and the table of current bars. `events`: the stream of the finals."""

    class Corrections(RevisedColumns, Stream, name=f"{names.name}_corrections", topic=names.corrections, key=KEY, value=FORMAT):
        """The revisions as they are published; `corrected` is how many late ticks each one has more than the one before."""

    class Versions(
        BarColumns,
        Stream,
        name=f"{names.name}_versions",
        topic=f"{names.topic}_versions",
        partitions="${partitions}",
        key=KEY,
        value="JSON",
        options={"RETENTION_MS": CENTURY},
    ):
        """Finals and revisions in one topic."""

    first = Insert(Versions, select(events).from_(events), query_id=f"{names.query}_FINALS_WRITER")
    taken = [column for column in Corrections.columns().values() if column.name != RevisedColumns.corrected.name]
    later = Insert(Versions, select(*taken).from_(Corrections), query_id=f"{names.query}_REVISIONS_WRITER")

    class Current(
        BarColumns,
        Table,
        name=f"{names.name}_current",
        topic=f"{names.topic}_current",
        partitions="${partitions}",
        key=KEY,
        value="JSON",
        query=select(
            *(Versions.broker, Versions.symbol, Versions.bucket_start),
            *(_newest(column, Versions.revision).as_(column.name) for column in Versions.columns().values() if not column.key),
        )
        .from_(Versions)
        .group_by(Versions.broker, Versions.symbol, Versions.bucket_start),
    ):
        """The newest revision of every bar, for pull queries by the key or a part of it."""

    return [Corrections, Versions, first, later, Current]


def _newest(column: Column, revision: Column) -> Expression:
    """The latest value among the revisions of a bar; among its finals, as long as there is no revision."""
    ours = case((revision > 0, column), otherwise=null(column.kind))
    first = case((revision == 0, column), otherwise=null(column.kind))
    return case((maximum(revision) > 0, latest(ours)), otherwise=latest(first))


def frame(name: str, *, correct: bool) -> list[object]:
    """The bars of a frame: a stream, and a table for pull queries."""
    names = names_of(name)

    class FrameEvents(BarColumns, Stream, name=f"{names.name}_events", topic=names.finals, key=KEY, value=FORMAT):
        """The final bars of the frame."""

    class FrameBars(
        BarColumns,
        Table,
        name=f"{names.name}_all",
        topic=f"{names.topic}_all",
        partitions="${partitions}",
        key=KEY,
        value="JSON",
        query=select(
            *(FrameEvents.broker, FrameEvents.symbol, FrameEvents.bucket_start),
            *(latest(column).as_(column.name) for column in FrameEvents.columns().values() if not column.key),
        )
        .from_(FrameEvents)
        .group_by(FrameEvents.broker, FrameEvents.symbol, FrameEvents.bucket_start),
    ):
        """Every final bar of the frame, for pull queries by the key or a part of it."""

    return [FrameEvents, FrameBars, *(revised(names, FrameEvents) if correct else [])]


def of_base(variables: Mapping[str, str]) -> list[object]:
    """What is made of the revisions of base bars."""
    return revised(BASE, Events) if variables.get("bars_correct") else []


def of_frames(variables: Mapping[str, str]) -> list[object]:
    """What is made of longer bars."""
    correct, frames = bool(variables.get("bars_correct")), variables.get("bars_frames", "")
    return [made for name in frames.split(",") if name for made in frame(name, correct=correct)]
