"""What the explanation of a final bar says of its revisions: those that were published, and what may still come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.web.models.bars import FinalBar
from app.web.wording import counted, moment, span, times


@dataclass(frozen=True)
class Revisable:
    """What is known of corrections of a window (`late_policy=correct`). Times are epoch ms.

    `expires_at`: the stream time from which ticks of it are late. `stream_time`: that of its scope now; None: not known.
    `due`: arrival time at which the revision that has begun is published, with `added` late ticks so far; None without one.
    """

    expires_at: int
    stream_time: int | None = None
    due: int | None = None
    added: int = 0

    @property
    def open(self) -> bool | None:
        """Whether a late tick can still revise it; None if that is not known."""
        return None if self.stream_time is None else self.stream_time < self.expires_at


def first_of(bar: FinalBar, versions: Sequence[FinalBar]) -> FinalBar | None:
    """The bar as it was published first; None if it had no bar then, or that is not known any more."""
    return next((version for version in (bar, *versions) if version.revision == 0), None)


def history(bar: FinalBar, versions: Sequence[FinalBar]) -> str:
    """A clause on the revisions that were published; empty if there is none."""
    if not bar.revision:
        return ""
    added = f" by {counted(bar.corrected, 'late tick')}" if bar.corrected else ""
    first = first_of(bar, versions)
    before = "" if first is None else f" ({counted(first.ticks, 'tick')} at first)"
    return f"; revised {times(bar.revision)} since, last at {moment(bar.closed_at)}{added}{before}"


def outlook(revisable: Revisable | None) -> str:
    """A sentence on what may still come; empty where bars are not revised."""
    if revisable is None:
        return ""
    text = ""
    if revisable.due is not None:
        text = f" A revision by {counted(revisable.added, 'late tick')} is due at {moment(revisable.due)}."
    if revisable.stream_time is None:
        return text
    if not revisable.open:
        return f"{text} It can no longer be revised."
    left = span(revisable.expires_at - revisable.stream_time)
    return f"{text} Late ticks can revise it until stream time reaches {moment(revisable.expires_at)}, {left} more."
