"""Checks that the topics of a partition still hold what its position points to.

Records can be gone for three reasons. Retention deleted them before they were read. The topic was deleted and created again. Or
its log was truncated (an unclean leader election, a lost disk). The last two look alike unless the broker tells topic ids. Each
of them stops the start with one line. With `on_gap=continue` the position moves to where reading can go on, and what is gone is
counted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from app.errors import StateError
from app.settings import Settings
from app.settings.types import OnGap
from tables.state import Identity, Position

log = logging.getLogger(__name__)


class Moved(Enum):
    """Why a position had to move."""

    no = "it did not"
    deleted = "records were deleted before they were read"
    other_log = "the offsets behind it are gone, or are of other records now"


@dataclass(frozen=True)
class Log:
    """A partition as it is now: `name` for messages, its first offset, its end offset, and its topic's id or empty."""

    name: str
    begin: int
    end: int
    topic_id: str = ""

    def is_anew(self, stored_id: str) -> bool:
        """Whether the topic is known to be another one than that of this id."""
        return bool(self.topic_id and stored_id) and self.topic_id != stored_id

    def is_same(self, stored_id: str) -> bool:
        """Whether the topic is known to be that of this id."""
        return bool(self.topic_id) and self.topic_id == stored_id


def check_cluster(where: str, stored: Identity, now: Identity) -> None:
    """Check that the position was written on this cluster. Raises `StateError`: on another one its offsets mean nothing."""
    if stored.cluster and now.cluster and stored.cluster != now.cluster:
        raise StateError(
            f"{where} was written on the cluster with the id {stored.cluster}, and this is {now.cluster}: "
            "set broker to that cluster, or use another app_id and topics_prefix"
        )


def check_changelog(where: str, position: Position, begin: int) -> None:
    """Check that every state that the position relies on can still be there. Raises `StateError` where some are deleted.

    There is no way to go on: the ticks of the windows that were open then are behind the position.
    """
    if position.changelog_start < begin:
        raise StateError(
            f"{where} begins at offset {begin}, after {position.changelog_start}, from where on it held the open windows: "
            "some were deleted from it; restore it, or use another app_id and topics_prefix"
        )


def check_finals(settings: Settings, finals: Log, position: Position) -> bool:
    """Check that the bars published after the position still exist. Otherwise raise `StateError`, or move `finals_end`.

    Returns whether the bars from `finals_end` on may be older than the position.
    """
    known, stored_id = position.finals_end, position.identity.finals
    anew = finals.is_anew(stored_id)
    if known > finals.end and finals.is_same(stored_id):
        said = f"{finals.name} ends at offset {finals.end} and had bars of this app up to {known}: its log was truncated"
        then, go_on = f"go on without {known - finals.end} records, which cannot be made again", finals.end
    elif known > finals.end or anew:
        ids = f" (topic id {finals.topic_id}, it was {stored_id})" if anew else ""
        said = f"{finals.name} ends at offset {finals.end}, and this app's bars ended at {known}: it was created again{ids}"
        then, go_on = "publish those that are still open", finals.begin
    elif known < finals.begin:
        said = f"{finals.name} begins at offset {finals.begin}, after {known}: bars published since the last checkpoint were"
        said, then, go_on = f"{said} deleted from it", "publish them again", finals.begin
    else:
        return False
    if settings.on_gap is OnGap.stop:
        raise StateError(f"{said}: set on_gap=continue to {then}, or use another app_id")
    log.warning("%s (on_gap=continue)", said)
    position.finals_end = go_on
    return go_on < known


def check_input(settings: Settings, ticks: Log, position: Position) -> Moved:
    """Check that the input goes on at the position. Otherwise raise `StateError`, or move it, if `on_gap` allows that."""
    wanted, stored_id = position.resume_at, position.identity.input
    if ticks.is_anew(stored_id):
        said = (
            f"{ticks.name} was created again: its topic id is {ticks.topic_id}, that of the position {wanted} was {stored_id}"
        )
        moved, lost, go_on = Moved.other_log, 0, ticks.begin
    elif wanted < ticks.begin:
        said = f"{ticks.begin - wanted} records before offset {ticks.begin} of {ticks.name} are gone unread"
        said, moved, lost, go_on = f"{said} (retention was faster)", Moved.deleted, ticks.begin - wanted, ticks.begin
    elif wanted > ticks.end and ticks.is_same(stored_id):
        said = _truncated(ticks, f"the position {wanted}")
        moved, lost, go_on = Moved.other_log, wanted - ticks.end, ticks.end
    elif wanted > ticks.end:
        said = f"{ticks.name} ends at offset {ticks.end}, before the position {wanted} (the topic was created again)"
        moved, lost, go_on = Moved.other_log, 0, ticks.begin
    else:
        return Moved.no
    _go_on_or_stop(settings, said, go_on)
    position.counters.lost += lost
    position.move_to(go_on)
    return moved


def check_passed(settings: Settings, ticks: Log, position: Position, closed_at: int) -> bool:
    """Check that the input still has the records up to which it was read after the checkpoint, as the published bars say.

    `closed_at`: the largest offset that they name. Raises `StateError`, or counts what is gone, if `on_gap` allows that.
    Returns whether some are gone.
    """
    if closed_at <= max(ticks.end, position.resume_at):
        return False
    go_on = max(ticks.end, position.resume_at)
    _go_on_or_stop(settings, _truncated(ticks, f"{closed_at}, up to where bars have been published"), go_on)
    position.counters.lost += closed_at - go_on
    return True


def _truncated(ticks: Log, before: str) -> str:
    reason = "its log was truncated, by an unclean leader election or a lost disk"
    return f"{ticks.name} ends at offset {ticks.end}, before {before}: {reason}"


def _go_on_or_stop(settings: Settings, said: str, offset: int) -> None:
    if settings.on_gap is OnGap.stop:
        raise StateError(f"{said}: set on_gap=continue to go on from offset {offset}, or use another app_id")
    log.warning("%s: going on from offset %d (on_gap=continue)", said, offset)
