"""A KRaft node of Apache Kafka from its jars, which Maven downloads once."""

from __future__ import annotations

import base64
import functools
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.waiting import until_sync

VERSION = "4.1.2"
LOG4J = "2.25.5"
JAVA = 17
READY_DEADLINE = 90.0
STOP_DEADLINE = 60.0
# a small heap and only the C1 compiler: the broker starts in seconds and takes 190 MB
LIGHT_JVM = ("-Xms128m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# for benchmarks, where the broker must not be the bottleneck
FULL_JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")

SETTINGS = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.retention.ms": "-1",  # records with old timestamps must not expire during a test
    "log.cleaner.dedupe.buffer.size": "16777216",
    # a killed node cannot register again before its former session expires: 9 s by default
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
}

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>barwheel</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""

_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = OUT
"""


class KafkaUnavailableError(Exception):
    """There is no Apache Kafka; the message gives the reason."""


class KafkaServer:
    """A KRaft node from Kafka's jars on free ports of 127.0.0.1, with its data and log in `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        jvm: tuple[str, ...] = LIGHT_JVM,
        more: Mapping[str, str] | None = None,
        scram: Sequence[str] = (),
        ports: Sequence[int] = (),
        cluster_id: str = "",
    ) -> None:
        """`more`: broker settings that override ours; `scram`: users in the form of the storage tool's --add-scram.

        `ports`: of the broker and of its controller; `cluster_id`: of the cluster that it is a node of.
        """
        self.directory = directory
        self._more, self._scram, self._cluster_id = dict(more or {}), scram, cluster_id or new_cluster_id()
        self.port, self._controller_port = ports or free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.log = directory / "kafka.log"
        self._jvm = jvm
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the broker answers; the first start formats the directory."""
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """Start without waiting for it."""
        if self._process is not None:
            raise RuntimeError("this broker is already running")
        config = self.directory / "server.properties"
        if not (self.directory / "data" / "meta.properties").exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / "log4j2.properties").write_text(_LOG4J)
            config.write_text("".join(f"{k}={v}\n" for k, v in self._properties().items()))
            users = [word for user in self._scram for word in ("--add-scram", user)]
            tool = self._java("kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", str(config), *users)
            if tool.wait(READY_DEADLINE) != 0:
                raise RuntimeError(f"Kafka's storage could not be formatted; {self._tail()}")
        self._process = self._java("kafka.Kafka", str(config))

    def wait(self) -> None:
        """Wait until the broker answers; kills it if it does not."""
        try:
            until_sync(self._ready, deadline=READY_DEADLINE, every=0.1, what="Kafka answers")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Shut down cleanly (2-3 s); does nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, like a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same directory and port."""
        self.stop()
        self.start()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    def _ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"Kafka ended with exit code {self._process.returncode}; {self._tail()}")
        return answers("127.0.0.1", self.port)

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"{self.log}:", *lines])

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _java(self, *command: str) -> subprocess.Popen[bytes]:
        java = java_program()
        if java is None:
            raise KafkaUnavailableError(f"Java {JAVA} or newer is missing")
        logging = f"-Dlog4j2.configurationFile=file:{self.directory / 'log4j2.properties'}"
        with self.log.open("ab") as log:
            # its own session, so that Ctrl-C reaches only the test run, which then stops the broker
            return subprocess.Popen(
                [java, *self._jvm, logging, "-cp", str(jars() / "*"), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _properties(self) -> dict[str, str]:
        ours = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.directory / "data"),
            **SETTINGS,
        }
        for name, value in self._more.items():
            ours[name] = f"{ours[name]},{value}" if name.endswith("listeners") else value
        return ours


def new_cluster_id() -> str:
    """A random cluster id. It never begins with `-`, which Kafka's tool would parse as an option."""
    return "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def answers(host: str, port: int) -> bool:
    """Whether a Kafka broker answers ApiVersions on a plain socket."""
    correlation = 7
    request = struct.pack(">hhih", 18, 0, correlation, -1)  # ApiVersions v0, no client id
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 10:  # length, correlation id, error code
                part = connection.recv(4096)
                if not part:
                    return False
                answer += part
    except OSError:
        return False
    _, answered, error = struct.unpack(">iih", answer[:10])
    return bool(answered == correlation and error == 0)


def jars() -> Path:
    """Directory with Kafka's jars; downloads them with Maven the first time. Raises `KafkaUnavailableError`."""
    return fetched(_POM, jar_directory())


def fetched(pom: str, target: Path) -> Path:
    """A directory with the jars of a Maven project; downloads them the first time. Raises `KafkaUnavailableError`."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        (Path(scratch) / "pom.xml").write_text(pom)
        maven = subprocess.run(
            [
                "mvn",
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                "-DoutputDirectory=libs",
            ],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if maven.returncode != 0:
            raise KafkaUnavailableError(f"mvn could not fetch the jars of {target.name}:\n{maven.stdout}{maven.stderr}")
        try:
            # renamed when complete: an interrupted download must not look like a cache
            (Path(scratch) / "libs").rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
    return target


def jar_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "barwheel" / f"kafka-{VERSION}"


@functools.cache
def java_program() -> str | None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    version = re.search(r'version "(\d+)', said.stderr + said.stdout)
    return java if version is not None and int(version[1]) >= JAVA else None
