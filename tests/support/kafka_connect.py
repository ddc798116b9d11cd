"""Kafka Connect and the console consumer of Apache Kafka, from their jars, which Maven downloads once (41 MB)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from tests.support.kafka_node import JAVA, LIGHT_JVM, VERSION, fetched, jar_directory, java_program

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>barwheel</groupId><artifactId>connect-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-file</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


def connect_unavailable() -> str | None:
    """Why Kafka Connect cannot run, None if it can. Its jars are downloaded with BARWHEEL_KAFKA=maven only."""
    if java_program() is None:
        return f"no Kafka Connect: Java {JAVA} is missing"
    if _directory().is_dir():
        return None
    if os.environ.get("BARWHEEL_KAFKA", "").lower() != "maven" or shutil.which("mvn") is None:
        return "no Kafka Connect: BARWHEEL_KAFKA=maven, with mvn, fetches its jars (41 MB)"
    return None


def _directory() -> Path:
    return jar_directory().with_name(f"connect-{VERSION}")


def _java(*command: str) -> list[str]:
    return [str(java_program()), *LIGHT_JVM, "-cp", str(fetched(_POM, _directory()) / "*"), *command]


def console_consumer(bootstrap: str, topic: str, count: int) -> list[str]:
    """The first values of a topic, as `kafka-console-consumer.sh` prints them."""
    reading = ("--from-beginning", "--isolation-level", "read_committed", "--max-messages", str(count), "--timeout-ms", "60000")
    command = _java(
        "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", bootstrap, "--topic", topic, *reading
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Connect(AbstractContextManager["Connect"]):
    """A worker of Kafka Connect with one connector, in `directory`."""

    def __init__(self, bootstrap: str, directory: Path, connector: Mapping[str, str]) -> None:
        worker = {
            "bootstrap.servers": bootstrap,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.storage.file.filename": str(directory / "offsets"),
            "listeners": "http://127.0.0.1:0",
            "plugin.discovery": "service_load",
        }
        self._files = directory / "worker.properties", directory / "connector.properties"
        for file, settings in zip(self._files, (worker, connector), strict=True):
            file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._log = directory / "connect.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = _java("org.apache.kafka.connect.cli.ConnectStandalone", *map(str, self._files))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None
