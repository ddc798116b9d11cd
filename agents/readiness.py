"""The state of a worker, for /readyz and the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agents.repartition_progress import RepartitionProgress

SILENT_SECONDS = 5.0  # without an answer to a fetch; an empty answer comes after 0.2 s


@dataclass
class RecoveryProgress:
    """How far a recovery is."""

    partitions: int
    done: int = 0
    reading: Callable[[], tuple[str, int, int]] = field(default=lambda: ("", 0, 0))  # which partition, offset, end offset

    def shown(self) -> dict[str, Any]:
        """The same as /readyz shows it."""
        where, offset, end = self.reading()
        return {"partitions": self.partitions, "done": self.done, "reading": where, "offset": offset, "end": end}


@dataclass
class Readiness:
    """`state` is starting, recovering, running, waiting (for the broker or Schema Registry) or stopped.

    `held_up`: the partitions that are waited for while the others run, and why.
    """

    state: str = "starting"
    recovery: RecoveryProgress | None = None
    held_up: dict[int, str] = field(default_factory=dict)
    copying: RepartitionProgress | None = None  # with `repartition=on`
    registry: str = ""  # why all partitions wait for Schema Registry; empty: they do not

    def answer(self, silence: float | None, schemas: str = "") -> dict[str, Any]:
        """What /readyz says. `silence`: seconds since the broker answered a fetch, None where nothing is being fetched.

        `schemas`: why slices wait for Schema Registry; empty: they do not. A worker that must copy and does not is not ready.
        """
        answer = self._engines(silence, schemas)
        if self.copying is None:
            return answer
        if answer["state"] == "running" and self.copying.state != "running":
            answer["state"] = "waiting"
        return {**answer, "repartition": self.copying.shown()}

    def silence_counts_from(self) -> float:
        """From when on (`steady_ms`) an input without records is a silent one; infinity: not yet."""
        settled = 0 if self.copying is None else self.copying.settled_since()
        return float("inf") if settled is None else settled

    def _engines(self, silence: float | None, schemas: str) -> dict[str, Any]:
        if self.state == "running" and silence is not None and silence > SILENT_SECONDS:
            return {"state": "waiting", "broker_silent_for": round(silence, 1)}
        if self.state == "running" and schemas:
            return {"state": "waiting", "schema_registry": schemas}
        if self.registry:
            return {"state": "waiting", "schema_registry": self.registry}
        answer: dict[str, Any] = {"state": self.state}
        if self.held_up:
            answer["held_up"] = {str(number): why for number, why in sorted(self.held_up.items())}
        if self.state in {"recovering", "waiting"} and self.recovery is not None:
            answer["recovery"] = self.recovery.shown()
        return answer
