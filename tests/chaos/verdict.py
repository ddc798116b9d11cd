"""What the judge found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

SHOWN = 3  # violations of one kind that are listed
LONGEST = 900  # characters of one violation


@dataclass
class Verdict:
    """The counts, and the violations."""

    records: int = 0
    windows: int = 0
    binned: int = 0
    late: int = 0
    rejected: int = 0
    heartbeats: int = 0
    idle: int = 0
    shared_keys: int = 0  # of bars: published in two partitions, because their symbol is in both
    sent_again: int = 0
    repeated: Counter[str] = field(default_factory=Counter)  # allowed repetitions with an equal value, by kind of fault
    violations: list[str] = field(default_factory=list)

    def add(self, kind: str, cases: Iterable[object]) -> None:
        """Add a violation for each case, at most `SHOWN` of them in full."""
        listed = list(cases)
        self.violations += [f"{kind}: {case}"[:LONGEST] for case in listed[:SHOWN]]
        if len(listed) > SHOWN:
            self.violations.append(f"{kind}: and {len(listed) - SHOWN} more")
