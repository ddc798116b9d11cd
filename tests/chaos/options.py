"""The options of a crash test."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PARTITIONS = 4
WINDOW_MS = 1_000
GRACE_MS = 500
SESSION_SECONDS = 3.0
FOREIGN_SESSION_SECONDS = 6.0  # the default group.min.session.timeout.ms of Kafka


class Kind(StrEnum):
    """The kinds of faults."""

    kill = "kill"
    stop = "stop"
    pause = "pause"
    freeze = "freeze"
    add = "add"
    remove = "remove"
    broker = "broker"


DESCRIPTIONS = {
    Kind.kill: "kill -9 of a worker, then restart",
    Kind.stop: "SIGTERM to a worker, then restart",
    Kind.pause: "SIGSTOP for less than the session timeout, then SIGCONT",
    Kind.freeze: "SIGSTOP for more than the session timeout, then SIGCONT: a zombie worker",
    Kind.add: "one more worker",
    Kind.remove: "SIGTERM to a worker, no restart",
    Kind.broker: "kill -9 of the broker, then restart on the same data and port",
}


@dataclass(frozen=True)
class Options:
    """One run. `broker` is `pocket`, `kafka`, or `host:port` of a running broker, which is never killed."""

    faults: int = 20
    seed: int = 7
    broker: str = "pocket"
    delivery: str = "idempotent"
    workers: int = 2
    kinds: frozenset[Kind] = frozenset(Kind)
    keep: Path | None = None
    scope: str = "broker"
    broken: str | None = None  # a rule of `tests.chaos.broken` that the workers break
    checkpoint_ms: int = 500  # the setting `checkpoint_interval`

    @property
    def own_broker(self) -> bool:
        """Whether the run starts the broker, and so may kill it."""
        return self.broker in {"pocket", "kafka"}

    @property
    def session_seconds(self) -> float:
        """The workers' session timeout."""
        return SESSION_SECONDS if self.own_broker else FOREIGN_SESSION_SECONDS

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        words = [f"python -m tests.chaos --faults {self.faults} --seed {self.seed} --broker {self.broker}"]
        words.append(f"--delivery {self.delivery} --workers {self.workers}")
        if self.scope != Options.scope:
            words.append(f"--scope {self.scope}")
        if self.kinds != frozenset(Kind):
            words.append(f"--kinds {','.join(sorted(self.kinds))}")
        return " ".join(words)
