"""The options of a crash test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.chaos.kinds import DEFAULT, ON_NODES, Kind
from tests.support.reference import Rules

OWN_BROKERS = ("pocket", "kafka", "cluster")  # those that a run starts, and may kill
SCOPES = ("broker", "symbol", "partition")
BARS_FORMATS = ("json", "avro", "protobuf")
PARTITIONS = 4
WINDOW_MS = 1_000
GRACE_MS = 500
IDLE_MARGIN_MS = 300
CLUSTER_IDLE_MARGIN_MS = 12_000  # a dead follower holds up the high watermark, and a new leader must be elected
SESSION_SECONDS = 3.0
FOREIGN_SESSION_SECONDS = 6.0  # the default group.min.session.timeout.ms of Kafka


@dataclass(frozen=True)
class Options:
    """One run. `broker` is `pocket`, `kafka`, `cluster`, or `host:port` of a running broker, which is never killed."""

    faults: int = 20
    seed: int = 7
    broker: str = "pocket"
    delivery: str = "idempotent"
    workers: int = 2
    timestamps: str = "append"  # or "create": who gives the timestamps of the input topic
    kinds: frozenset[Kind] = DEFAULT
    keep: Path | None = None
    scope: str = "broker"
    broken: str | None = None  # a rule of `tests.chaos.broken` that the workers break
    checkpoint_ms: int = 500  # the setting `checkpoint_interval`
    repartition: bool = False  # whether the workers copy the market's topic, and read the copies
    bars_format: str = "json"  # the setting

    @property
    def own_broker(self) -> bool:
        """Whether the run starts the broker, and so may kill it."""
        return self.broker in OWN_BROKERS

    @property
    def append_time(self) -> bool:
        """Whether the market's topic has LogAppendTime."""
        return self.timestamps == "append"

    @property
    def judged_by_log(self) -> bool:
        """Whether the log alone decides. Copies arrive when their records did, so how long a silence was, no log says."""
        return self.append_time and not self.repartition

    @property
    def rules(self) -> Rules:
        """The rules by which the run is judged; the workers get the same settings."""
        return Rules(WINDOW_MS, GRACE_MS, self.scope)

    @property
    def possible(self) -> frozenset[Kind]:
        """Those of the kinds that the broker allows: we kill only our own, and set only the pocket broker's clock."""
        own = self.kinds if self.own_broker else self.kinds - {Kind.broker}
        own = own if self.broker == "cluster" else own - ON_NODES
        return own if self.broker == "pocket" else own - {Kind.broker_clock}

    @property
    def idle_margin_ms(self) -> int:
        """The workers' setting `idle_margin`."""
        return CLUSTER_IDLE_MARGIN_MS if self.broker == "cluster" else IDLE_MARGIN_MS

    @property
    def session_seconds(self) -> float:
        """The workers' session timeout."""
        return SESSION_SECONDS if self.broker in {"pocket", "kafka"} else FOREIGN_SESSION_SECONDS

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        words = [f"python -m tests.chaos --faults {self.faults} --seed {self.seed} --broker {self.broker}"]
        words.append(f"--delivery {self.delivery} --timestamps {self.timestamps} --workers {self.workers}")
        if self.scope != Options.scope:
            words.append(f"--scope {self.scope}")
        if self.repartition:
            words.append("--repartition")
        if self.bars_format != Options.bars_format:
            words.append(f"--bars-format {self.bars_format}")
        if self.kinds != DEFAULT:
            words.append(f"--kinds {','.join(sorted(self.kinds))}")
        return " ".join(words)
