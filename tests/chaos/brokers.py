"""The broker of a run: one that we start on a directory that survives a kill, or one that already runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.chaos.clocked import Clock
from tests.conformance.pocket_process import PocketProcess
from tests.support.kafka import own_cluster, own_kafka
from tests.support.kafka_node import answers
from tests.support.waiting import until_sync


class Killable(Protocol):
    """A broker that can be killed and started again with its data, on the same port."""

    def start(self) -> None: ...

    def kill(self) -> object: ...


class Pocket(PocketProcess):
    """A pocket broker whose clock can be set."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory)
        self.clock = Clock(directory / "clock")
        self.program = self.clock.program(*self.program)


@contextmanager
def running(name: str, directory: Path) -> Iterator[tuple[str, Killable | None]]:
    """Yield `host:port` and the broker, or None for a broker that we did not start; raises `KafkaUnavailableError`."""
    if name == "kafka":
        with own_kafka(directory) as server:
            yield server.bootstrap, server
        return
    if name == "cluster":
        with own_cluster(directory) as cluster:
            yield cluster.bootstrap, cluster
        return
    if name != "pocket":
        host, _, port = name.removeprefix("kafka://").rpartition(":")
        until_sync(lambda: answers(host, int(port)), deadline=30, every=0.2, what=f"{name} answers")
        yield f"{host}:{port}", None
        return
    pocket = Pocket(directory)
    pocket.start()
    try:
        yield pocket.bootstrap, pocket
    finally:
        if pocket.alive:
            with contextlib.suppress(AssertionError):
                pocket.stop()
