"""Apache Kafka for tests and benchmarks: the one at KAFKA_URL, else in Docker, else from Kafka's jars.

`python -m tests.support.kafka` runs one in the foreground and prints its address; with the argument `cluster`, three nodes.

BARWHEEL_KAFKA chooses: `docker`, `maven` (downloads the jars once, 45 MB; needs Java 17 and mvn) or `off`. Without it, Docker
is used if an engine answers, else the jars if they are cached. They are downloaded without BARWHEEL_KAFKA only if CI is set.

BARWHEEL_KAFKA_NODES=3 replaces the one broker by a cluster of three nodes, always from the jars.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.kafka_cluster import NODES, KafkaCluster
from tests.support.kafka_docker import DockerKafka, docker_answers
from tests.support.kafka_node import (
    JAVA,
    LIGHT_JVM,
    KafkaServer,
    KafkaUnavailableError,
    answers,
    jar_directory,
    jars,
    java_program,
)
from tests.support.waiting import until_sync


class Server(Protocol):
    """A broker that can be stopped, killed and restarted with its data, or a cluster of them."""

    bootstrap: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...


def kafka_unavailable(*, own: bool = False) -> str | None:
    """Why there is no Apache Kafka, None if there is one; `own`: one that a test may stop and kill."""
    choice = _choice()
    if os.environ.get("KAFKA_URL") and not own:
        return None
    if choice == "off":
        return "Apache Kafka is switched off by BARWHEEL_KAFKA=off"
    if _nodes() == NODES:
        return cluster_unavailable()
    if choice in {"", "docker"} and docker_answers():
        return None
    if choice == "docker":
        return "BARWHEEL_KAFKA=docker, but no Docker engine answers"
    return _no_jars(may_fetch=choice == "maven" or bool(os.environ.get("CI")))


def cluster_unavailable() -> str | None:
    """Why there is no cluster of Apache Kafka, None if there is one; it runs from the jars alone."""
    choice = _choice()
    if choice == "off":
        return "Apache Kafka is switched off by BARWHEEL_KAFKA=off"
    return _no_jars(may_fetch=choice == "maven" or bool(os.environ.get("CI")))


def _no_jars(*, may_fetch: bool) -> str | None:
    if java_program() is None:
        return f"no Apache Kafka: no KAFKA_URL, no Docker engine, no Java {JAVA} for Kafka's jars"
    if jar_directory().is_dir():
        return None
    if not may_fetch:
        return "no Apache Kafka: no KAFKA_URL, no Docker engine; BARWHEEL_KAFKA=maven fetches its jars (45 MB)"
    if shutil.which("mvn") is None:
        return "no Apache Kafka: no KAFKA_URL, no Docker engine, no mvn to fetch Kafka's jars"
    return None


def kafka_required() -> bool:
    """Whether Kafka was requested, so that its absence is a failure."""
    return bool(os.environ.get("KAFKA_URL")) or _choice() in {"docker", "maven"}


def cluster_required() -> bool:
    """Whether Kafka's jars were requested, so that their absence is a failure."""
    return _choice() == "maven"


@contextmanager
def own_cluster(directory: Path) -> Iterator[KafkaCluster]:
    """Start a cluster of three nodes; raises `KafkaUnavailableError`."""
    reason = cluster_unavailable()
    if reason is not None:
        raise KafkaUnavailableError(reason)
    jars()  # before three nodes would download them at once
    cluster = KafkaCluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def own_kafka(directory: Path, *, jvm: tuple[str, ...] = LIGHT_JVM) -> Iterator[Server]:
    """Start a broker that the caller may stop, kill and restart; raises `KafkaUnavailableError`."""
    if _nodes() == NODES:
        with own_cluster(directory) as cluster:
            yield cluster
        return
    reason = kafka_unavailable(own=True)
    if reason is not None:
        raise KafkaUnavailableError(reason)
    if _choice() != "maven" and docker_answers():
        container = DockerKafka()
        try:
            container.start()
            yield container
        finally:
            container.remove()
        return
    server = KafkaServer(directory, jvm=jvm)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def any_kafka(directory: Path, *, jvm: tuple[str, ...] = LIGHT_JVM) -> Iterator[str]:
    """Yield `host:port` of KAFKA_URL, else of a new broker; raises `KafkaUnavailableError`."""
    url = os.environ.get("KAFKA_URL", "").removeprefix("kafka://")
    if not url:
        with own_kafka(directory, jvm=jvm) as server:
            yield server.bootstrap
        return
    host, _, port = url.rpartition(":")
    until_sync(lambda: answers(host, int(port)), deadline=30, every=0.2, what=f"KAFKA_URL={url} answers")
    yield url


def _choice() -> str:
    choice = os.environ.get("BARWHEEL_KAFKA", "").lower()
    if choice not in {"", "docker", "maven", "off"}:
        raise KafkaUnavailableError(f"BARWHEEL_KAFKA={choice}: must be docker, maven or off")
    return choice


def _nodes() -> int:
    nodes = os.environ.get("BARWHEEL_KAFKA_NODES", "1")
    if nodes not in {"1", str(NODES)}:
        raise KafkaUnavailableError(f"BARWHEEL_KAFKA_NODES={nodes}: must be 1 or {NODES}")
    return int(nodes)


def main() -> None:
    """Run a broker in the foreground until Ctrl-C or SIGTERM; with the argument `jars` only download its jars.

    With `cluster`, run three nodes.
    """
    if sys.argv[1:] == ["jars"]:
        print(jars())
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="barwheel-kafka-") as directory:
        server: Server = KafkaCluster(Path(directory)) if sys.argv[1:] == ["cluster"] else KafkaServer(Path(directory))
        server.start()
        try:
            print(server.bootstrap, flush=True)
            with contextlib.suppress(KeyboardInterrupt):  # the way to stop it
                signal.pause()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
