"""The subjects: barwheel and its peers, how each is started, and how far it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import throughput
from benchmarks.measure import Measured, Subject, TooFewSamplesError, running
from benchmarks.peers import installed
from benchmarks.synthetic_ticks import PARTITIONS, create

BEGIN = 0.5  # the measured part begins here, and ends at 95%: a JVM compiles what it runs during the first millions of ticks
ASK_EVERY = 0.1  # seconds between two requests to barwheel's web port
PARALLEL = str(min(PARTITIONS, os.cpu_count() or 1))
HEAP = "-Xmx4g"  # with 2 GB, all of it is in use by Flink with 100,000 symbols
# what Flink's own config.yaml sets for Java 17
OPENED = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "math", "net", "text", "time", "util")]


class Job(NamedTuple):
    """One run of a subject. Its topics and its group have this name as a prefix."""

    bootstrap: str
    topic: str
    ticks: int
    name: str
    directory: Path

    @property
    def bars(self) -> str:
        """The output topic."""
        return f"{self.name}-bar_1m_final"

    @property
    def arguments(self) -> list[str]:
        """The arguments that each program of `benchmarks/peers` takes."""
        return [self.bootstrap, self.topic, self.bars, self.name]


@dataclass(frozen=True)
class Peer:
    """A subject. `command` prepares it, which may take minutes the first time, and raises `NotInstalledError`."""

    label: str
    command: Callable[[], list[str]] = field(default=list)
    more: tuple[str, ...] = ()  # arguments after the common ones
    settings: Mapping[str, str] | None = None  # of barwheel
    most_ticks: int | None = None  # what takes so long that more would not tell more

    @property
    def ours(self) -> bool:
        """Whether it is barwheel."""
        return self.settings is not None

    @contextmanager
    def running(self, job: Job, command: list[str]) -> Iterator[tuple[Subject, Measured | None]]:
        """Run it until it has processed all ticks; it runs on meanwhile, because its last bars may still come."""
        if self.settings is not None:
            with throughput.started(job.bootstrap, job.topic, job.name, job.directory, self.settings) as (process, port):
                read = partial(throughput.ticks_read, port)
                yield process, _rates(lambda: process.by_asking(read, job.ticks, BEGIN, ASK_EVERY))
            return
        asyncio.run(create(job.bootstrap, job.bars))
        with running([*command, *job.arguments, *self.more], job.directory, throughput.environment()) as process:
            yield process, _rates(lambda: process.by_marks(job.ticks, BEGIN, 1.0))


def _rates(measure: Callable[[], Measured]) -> Measured | None:
    try:
        return measure()
    except TooFewSamplesError:
        return None  # its bars can be judged all the same


def _flink(guarantee: str, label: str) -> Peer:
    return Peer(label, partial(installed.java, "flink", "FlinkBars", HEAP, *OPENED), (PARALLEL, guarantee))


PEERS = {
    "barwheel": Peer("barwheel", settings={}),
    "barwheel-transactional": Peer("barwheel, transactional", settings={"DELIVERY": "transactional"}),
    "flink": _flink("EXACTLY_ONCE", f"Flink {installed.jar_version('flink', 'flink-clients')}"),
    "flink-at-least-once": _flink("AT_LEAST_ONCE", "Flink, at least once"),
    "streams": Peer(
        f"Kafka Streams {installed.jar_version('streams', 'kafka-streams')}",
        partial(installed.java, "streams", "StreamsBars", HEAP),
        (PARALLEL,),
    ),
    "csp": Peer(f"csp {installed.package_version('csp')}", partial(installed.python, "csp_bars")),
    "quix": Peer(
        f"Quix Streams {installed.package_version('quixstreams')}",
        partial(installed.python, "quix_bars"),
        most_ticks=300_000,
    ),
}
DEFAULT = ("barwheel", "flink", "streams", "csp", "quix")
