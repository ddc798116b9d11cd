"""Kafka Connect, its JDBC sink and the console consumer of Apache Kafka, from jars that Maven downloads once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from tests.support.kafka_node import JAVA, LIGHT_JVM, LOG4J, fetched, jar_directory, java_program
from tests.support.ports import free_ports
from tests.support.waiting import until_sync

# the first with schemas of JSON in the connector's file (schema.content) is 4.2
VERSION = "4.3.1"
JDBC_SINK = "3.0.0.Final"
DEADLINE = 120.0  # of a start and of a delivery, on a machine that does much else

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>barwheel</groupId><artifactId>connect-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-file</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version></dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""


# Without the drivers of other databases, and without Jackson: beside that of Connect, Hibernate would find modules of both.
_JDBC_SINK_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>barwheel</groupId><artifactId>jdbc-sink-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.debezium</groupId><artifactId>debezium-connector-jdbc</artifactId><version>{JDBC_SINK}</version>
      <exclusions>
        <exclusion><groupId>com.fasterxml.jackson.core</groupId><artifactId>*</artifactId></exclusion>
        <exclusion><groupId>com.mysql</groupId><artifactId>*</artifactId></exclusion>
        <exclusion><groupId>org.mariadb.jdbc</groupId><artifactId>*</artifactId></exclusion>
        <exclusion><groupId>com.microsoft.sqlserver</groupId><artifactId>*</artifactId></exclusion>
        <exclusion><groupId>com.oracle.database.jdbc</groupId><artifactId>*</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency><groupId>org.postgresql</groupId><artifactId>postgresql</artifactId><version>42.7.4</version></dependency>
  </dependencies>
</project>
"""


def connect_unavailable() -> str | None:
    """Why Kafka Connect cannot run, None if it can. Its jars are downloaded with BARWHEEL_KAFKA=maven only."""
    if java_program() is None:
        return f"no Kafka Connect: Java {JAVA} is missing"
    return _not_fetched("no Kafka Connect", _directory(), "43 MB")


def jdbc_sink_unavailable() -> str | None:
    """Why Kafka Connect cannot write into a database, None if it can."""
    return connect_unavailable() or _not_fetched("no JDBC sink for Kafka Connect", _jdbc_sink_directory(), "22 MB")


def _not_fetched(what: str, target: Path, size: str) -> str | None:
    if target.is_dir() or (os.environ.get("BARWHEEL_KAFKA", "").lower() == "maven" and shutil.which("mvn") is not None):
        return None
    return f"{what}: BARWHEEL_KAFKA=maven, with mvn, fetches its jars ({size})"


def _directory() -> Path:
    return jar_directory().with_name(f"connect-{VERSION}")


def _jdbc_sink_directory() -> Path:
    return jar_directory().with_name(f"debezium-jdbc-{JDBC_SINK}")


def jdbc_sink() -> Path:
    """The directory of the plugin: Debezium's JDBC sink with the driver of PostgreSQL."""
    return fetched(_JDBC_SINK_POM, _jdbc_sink_directory())


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
    """A worker of Kafka Connect in `directory`, without connectors. `plugins` are directories with their jars."""

    def __init__(self, bootstrap: str, directory: Path, *plugins: Path) -> None:
        (port,) = free_ports(1)
        self._api = f"http://127.0.0.1:{port}"
        worker = {
            "bootstrap.servers": bootstrap,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.storage.file.filename": str(directory / "offsets"),
            "listeners": self._api,
            "plugin.discovery": "service_load",
            "plugin.path": str(directory / "plugins"),
        }
        (directory / "plugins").mkdir()
        for plugin in plugins:
            (directory / "plugins" / plugin.name).symlink_to(plugin)
        self._settings = directory / "worker.properties"
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in worker.items()))
        self._log = directory / "connect.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = _java("org.apache.kafka.connect.cli.ConnectStandalone", str(self._settings))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until_sync(self._answers, deadline=DEADLINE, every=0.1, what="Kafka Connect answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def add(self, name: str, config: Mapping[str, str]) -> None:
        """Start a connector, as its file is given to Connect.

        The name makes the consumer group. Where tests share a broker, each takes names of its own: a worker that was killed
        stays a member of its groups for the session timeout.
        """
        body = json.dumps({"name": name, "config": config}).encode()
        self._ask("/connectors", urllib.request.Request(self._api + "/connectors", body, {"Content-Type": "application/json"}))

    def check(self, name: str) -> None:
        """Raise `AssertionError` with the reason where a task of this connector has failed."""
        traces = [task.get("trace") for task in self._ask(f"/connectors/{name}/status")["tasks"]]
        assert not any(traces), traces

    def _ask(self, path: str, request: urllib.request.Request | None = None) -> Any:
        try:
            with urllib.request.urlopen(request or self._api + path, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error} {error.read().decode()}") from error

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(self._api + "/", timeout=30):
                return True
        except OSError:  # nothing listens yet, or its server answers 404 while Connect starts
            return False
