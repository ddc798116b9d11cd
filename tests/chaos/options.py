"""What a crash test is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PARTITIONS = 4
WINDOW_MS = 1_000
GRACE_MS = 500
SESSION_SECONDS = 3.0
FOREIGN_SESSION_SECONDS = 6.0  # the least that a Kafka with default settings grants


class Kind(StrEnum):
    """What happens to a process."""

    kill = "kill"
    stop = "stop"
    pause = "pause"
    freeze = "freeze"
    add = "add"
    remove = "remove"
    broker = "broker"


MEANING = {
    Kind.kill: "kill -9 of a worker, which is started again",
    Kind.stop: "SIGTERM to a worker, which is started again",
    Kind.pause: "SIGSTOP for less than the session timeout, then SIGCONT",
    Kind.freeze: "SIGSTOP for more than the session timeout, then SIGCONT: a zombie",
    Kind.add: "one more worker",
    Kind.remove: "SIGTERM to a worker, for good",
    Kind.broker: "kill -9 of the broker, which is started again on the same data and port",
}


@dataclass(frozen=True)
class Options:
    """One run; `broker` is `pocket`, `kafka` or `host:port` of one that runs already and is never killed."""

    faults: int = 20
    seed: int = 7
    broker: str = "pocket"
    delivery: str = "idempotent"
    workers: int = 2
    kinds: frozenset[Kind] = frozenset(Kind)
    keep: Path | None = None
    scope: str = "broker"
    broken: str | None = None  # a name of `tests.chaos.broken`: the workers break that rule

    @property
    def own_broker(self) -> bool:
        """Whether the broker is ours to kill."""
        return self.broker in {"pocket", "kafka"}

    @property
    def session_seconds(self) -> float:
        """How long a worker may be silent."""
        return SESSION_SECONDS if self.own_broker else FOREIGN_SESSION_SECONDS

    @property
    def command(self) -> str:
        """What repeats this run."""
        words = [f"python -m tests.chaos --faults {self.faults} --seed {self.seed} --broker {self.broker}"]
        words.append(f"--delivery {self.delivery} --workers {self.workers}")
        if self.scope != Options.scope:
            words.append(f"--scope {self.scope}")
        if self.kinds != frozenset(Kind):
            words.append(f"--kinds {','.join(sorted(self.kinds))}")
        return " ".join(words)
