"""Checks that the topics of a partition still hold what its position points to.

Records can be gone for three reasons. Retention deleted them before they were read. The topic was deleted and created again. Or
its log was truncated (an unclean leader election, a lost disk). The last two look alike unless the broker tells topic ids. A
truncated log that has grown again shows only in where its leader epochs end. Each of the three stops the start with one line.
With `on_gap=continue` the position moves to where reading can go on, and what is gone is counted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from app.errors import StateError
from app.kafka.leader_epochs import NOT_THERE
from app.kafka.records import NO_EPOCH
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
    """A partition as it is now: `name` for messages, its first offset, its end offset, and its topic's id or empty.

    `epoch_end`: where the records of the stored `leader_epoch` end now. `NOT_THERE`: the broker does not know that epoch. None:
    the broker is too old to tell, or the position is.
    """

    name: str
    begin: int
    end: int
    topic_id: str = ""
    leader_epoch: int = NO_EPOCH
    epoch_end: int | None = None

    def cut_below(self, offset: int) -> int | None:
        """Where the log was truncated, if that is below an offset up to which it was read; it may have grown again since.

        The epoch's end decides where it is known. The log's end may be less for a moment: that of a new leader, which does not
        know yet what its followers have.
        """
        if self.epoch_end == NOT_THERE:
            return self.end
        cut = self.end if self.epoch_end is None else self.epoch_end
        return cut if cut < offset else None

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
    cut = finals.cut_below(position.finals_epoch[1]) if finals.epoch_end is not None else None
    if finals.is_same(stored_id) and (cut is not None or known > finals.end):
        go_on = min(finals.end if cut is None else cut, known)
        said = f"{finals.name} ends at offset {finals.end} and had bars of this app up to {known}: its log was truncated"
        said += "" if cut in (None, finals.end) else f" at offset {cut}"
        then = f"go on without {known - go_on} records, which cannot be made again"
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
    position.finals_end, position.finals_epoch = go_on, (NO_EPOCH, 0)
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
    elif ticks.is_same(stored_id) and (cut := ticks.cut_below(wanted)) is not None:
        said = _truncated(ticks, f"the position {wanted}")
        go_on = max(cut, ticks.begin)
        moved, lost = Moved.other_log, abs(wanted - go_on)  # gone, or, where the place is not known, perhaps never read
    elif wanted > ticks.end and ticks.epoch_end is None:
        said = f"{ticks.name} ends at offset {ticks.end}, before the position {wanted} (the topic was created again)"
        moved, lost, go_on = Moved.other_log, 0, ticks.begin
    else:
        return Moved.no
    _go_on_or_stop(settings, said, go_on)
    position.counters.lost += lost
    position.move_to(go_on)
    if moved is Moved.other_log and go_on != ticks.epoch_end:
        position.leader_epoch = NO_EPOCH  # it says nothing about the records there
    return moved


def check_passed(settings: Settings, ticks: Log, position: Position, closed_at: int) -> int | None:
    """Check that the input still has the records up to which it was read after the checkpoint, as the published bars say.

    `closed_at`: the largest offset that they name, and `ticks` has the leader epoch in which it was read. Raises `StateError`,
    or counts what is gone, if `on_gap` allows that. Returns the offset of the first one that is gone, None where all are there.
    """
    cut = ticks.cut_below(closed_at)
    if cut is None or closed_at <= max(cut, position.resume_at):
        return None
    go_on = max(cut, position.resume_at)
    _go_on_or_stop(settings, _truncated(ticks, f"{closed_at}, up to where bars have been published"), go_on)
    position.counters.lost += closed_at - go_on
    return go_on


def _truncated(ticks: Log, before: str) -> str:
    reason = "its log was truncated, by an unclean leader election or a lost disk"
    if ticks.epoch_end is None or ticks.epoch_end == ticks.end:
        return f"{ticks.name} ends at offset {ticks.end}, before {before}: {reason}"
    if ticks.epoch_end == NOT_THERE:
        return f"{ticks.name} has no leader epoch {ticks.leader_epoch} any more, in which it was read up to {before}: {reason}"
    grown = f"and has grown to {ticks.end} since"
    return (
        f"{ticks.name}: leader epoch {ticks.leader_epoch} ends at offset {ticks.epoch_end}, before {before}: {reason}, {grown}"
    )


def _go_on_or_stop(settings: Settings, said: str, offset: int) -> None:
    if settings.on_gap is OnGap.stop:
        raise StateError(f"{said}: set on_gap=continue to go on from offset {offset}, or use another app_id")
    log.warning("%s: going on from offset %d (on_gap=continue)", said, offset)
