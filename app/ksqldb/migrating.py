"""How far the migrations of a worker's start are, for its web port."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.ksqldb.watched import Watched
from migrations.plan.entry import Entry


@dataclass
class Migrating:
    """The state of a worker's migrations."""

    state: str = "off"  # then pending, done, failed
    error: str = ""
    applied: list[Entry] = field(default_factory=list)
    skipped: int = 0
    failures: int = 0
    watched: Watched = field(default_factory=Watched)
