"""Apache Kafka in a Docker container."""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import Any

from tests.support.kafka_node import READY_DEADLINE, SETTINGS, STOP_DEADLINE, answers
from tests.support.ports import free_ports
from tests.support.waiting import until_sync

IMAGE = "apache/kafka:4.1.1"


class DockerKafka:
    """Kafka in the pinned image on a free port; its data lives as long as the container."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._container: Any = None

    def start(self) -> None:
        """Start or restart, and wait until the broker answers."""
        if self._container is None:
            self._container = self._new_container()
            self._container.start()
        else:
            self._container.get_wrapped_container().start()
        until_sync(lambda: answers("127.0.0.1", self.port), deadline=READY_DEADLINE, every=0.2, what="Kafka answers")

    def stop(self) -> None:
        """Shut down cleanly and keep the container, so that `start` finds the data."""
        if self._container is not None:
            self._container.get_wrapped_container().stop(timeout=int(STOP_DEADLINE))

    def kill(self) -> None:
        """Kill it, like a crash."""
        if self._container is not None:
            self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Stop and start with the same data and port."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Remove the container with its data."""
        if self._container is not None:
            self._container.stop(force=True)
            self._container = None

    def _new_container(self) -> Any:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415  # only with Docker

        environment = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@localhost:9093",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "BROKER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093,BROKER://:9094",
            # the broker cannot reach the host's port, to which it would send transaction markers
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},BROKER://localhost:9094",
            **SETTINGS,
        }
        container = DockerContainer(IMAGE).with_bind_ports("9092/tcp", self.port)
        for name, value in environment.items():
            container = container.with_env("KAFKA_" + name.replace(".", "_").upper(), value)
        return container


@functools.cache
def docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
