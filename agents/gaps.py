"""Checks that the topics of a partition still hold what its position points to.

Records can be gone for two reasons: retention deleted them before they were read, or the topic was deleted and made anew.
Either stops the start with one line. With `on_gap=continue` the position moves to where reading can go on, and what is gone is
counted.
"""

from __future__ import annotations

import logging

from app.errors import StateError
from app.settings import Settings
from app.settings.types import OnGap
from tables.state import Position

log = logging.getLogger(__name__)
Bounds = tuple[int, int]  # the first offset that still exists, and the end offset


def check_changelog(where: str, position: Position, begin: int) -> None:
    """Check that every state that the position relies on can still be there. Raises `StateError` where some are deleted.

    There is no way to go on: the ticks of the windows that were open then are behind the position.
    """
    if position.changelog_start < begin:
        raise StateError(
            f"{where} begins at offset {begin}, after {position.changelog_start}, from where on it held the open windows: "
            "some were deleted from it; restore it, or use another app_id and topics_prefix"
        )


def check_finals(settings: Settings, where: str, position: Position, bounds: Bounds) -> bool:
    """Check that the bars published after the position still exist. Otherwise raise `StateError`, or move `finals_end`.

    Returns whether the bars from `finals_end` on may be older than the position.
    """
    (begin, end), known = bounds, position.finals_end
    if known > end:
        said = f"{where} ends at offset {end}, before {known}, where this app's bars ended: it was made anew and they are gone"
        then, position.finals_end = "publish those that are still open", begin
    elif known < begin:
        said = f"{where} begins at offset {begin}, after {known}: bars published since the last checkpoint were deleted from it"
        then, position.finals_end = "publish them again", begin
    else:
        return False
    if settings.on_gap is OnGap.stop:
        raise StateError(f"{said}: set on_gap=continue to {then}, or use another app_id")
    log.warning("%s (on_gap=continue)", said)
    return known > end


def check_input(settings: Settings, where: str, position: Position, bounds: Bounds) -> tuple[bool, bool]:
    """Check that the input goes on at the position. Otherwise raise `StateError`, or move it, if `on_gap` allows that.

    Returns whether the position moved, and whether that was because the topic was made anew.
    """
    (begin, end), wanted = bounds, position.resume_at
    if begin <= wanted <= end:
        return False, False
    if wanted < begin:
        said = f"{begin - wanted} records before offset {begin} of {where} are gone unread (retention was faster)"
        lost, go_on = begin - wanted, begin
    else:
        said = f"{where} ends at offset {end}, before the position {wanted} (the topic was made anew)"
        lost, go_on = 0, begin
    if settings.on_gap is OnGap.stop:
        raise StateError(f"{said}: set on_gap=continue to go on from offset {go_on}, or use another app_id")
    log.warning("%s: going on from offset %d (on_gap=continue)", said, go_on)
    position.counters.lost += lost
    position.move_to(go_on)
    return True, wanted > end
