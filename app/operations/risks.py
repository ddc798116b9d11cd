"""What each kind of finding of `app doctor` risks, where nothing is done."""

from __future__ import annotations

NO_WORKER = "no worker starts, and no bar is published"
NO_BARS = "workers wait for it, and no bar is published"
MISSPELT = "the default is in force, and not the value that was meant"
POCKET = "one node: its bars are lost with this machine's disk"
OPEN_PORT = "they see prices and bars, and may make the port busy"
LONG_GRACE = "each bar is published after the next one has opened"
LATE_COPIES = "bars lack ticks, which are in ticks_late"
SHORT_FUTURE = "ticks of a broker whose clock is a little ahead are rejected"
CLOCKS = "a silent market's windows close before their last ticks are read: those are late"
REJECTED = "bars lack most of the market; the records are kept in ticks_rejected"
LACKING = "bars lack these ticks"
KSQLDB = "ksqlDB's bars differ from those of the worker"
TWO_PARTITIONS = "two bars for one window, each of a part of the ticks"


def of_state(*, stops: bool) -> str:
    """That of a stored state with a problem. `stops`: a worker does not start with it."""
    return NO_WORKER if stops else "bars of this partition may lack ticks, or come later"
