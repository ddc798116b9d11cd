"""Write the data directories of one version, which later versions must be able to read.

    python tests/stored/make.py tests/stored/0.1.0

The interpreter decides the version: run this file with the interpreter of any checkout. The script uses only the command
line, the environment and the web port of that version, so it does not depend on its modules.

Each directory holds `settings.json` (the settings of its worker), `data` (the setting `data_dir`: the pocket broker's files
and, in one of them, the read model) and `ksqldb.json` (the state of the stand-in ksqlDB after the shipped migrations).

All processes run with a clock that starts at `CLOCK`. Arrival times are then in the past on every machine that reads them.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import functools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from ticks import PARTITIONS, Message, market  # type: ignore[import-not-found]  # noqa: E402  # a script imports its neighbor

DEADLINE = 60.0  # seconds
PARTS = ((0.0, 5.5), (5.5, 9.5))  # minutes of the market before and after the restart; both end within open windows
KEEP_FOREVER = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}  # or the directory would empty itself
CLOCK = 1_704_067_200  # 2024-01-01, epoch seconds
SHIFTED_CLOCK = """
import time
_offset, _offset_ns, _time, _time_ns = {seconds}, {seconds} * 10**9, time.time, time.time_ns
time.time = lambda: _time() - _offset
time.time_ns = lambda: _time_ns() - _offset_ns
"""
DEBRIS = ("broker.log", "lock", "process.json", "starting")

SETTINGS = {
    "broker-scope-killed": {
        "app_id": "stored-killed",
        "topics_prefix": "killed-",
        "scope": "broker",
        "delivery": "idempotent",
        "idle_close": "off",  # the windows stay open, however old the directory is
    },
    "symbol-scope-stopped": {
        "app_id": "stored-stopped",
        "topics_prefix": "stopped-",
        "scope": "symbol",
        "delivery": "transactional",
    },
}
TOPICS = ("ticks", "{prefix}ticks_late", "{prefix}ticks_rejected")


def main() -> None:
    """Write all directories under the folder given on the command line."""
    parser = argparse.ArgumentParser(description="Write the data directories of the version that runs this script.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    for name, settings in SETTINGS.items():
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) / name
            place.mkdir()
            write(place, settings, killed=name.endswith("killed"))
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(place, folder / name)
        sys.stdout.write(f"{folder / name}\n")


def write(place: Path, settings: dict[str, str], *, killed: bool) -> None:
    """Run a worker on a new data directory and leave it with open windows.

    A `killed` worker leaves bars that it published after its last checkpoint; a stopped one ends with a checkpoint.
    """
    prefix = settings["topics_prefix"]
    (place / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    with pocket(place / "data" / "pocket") as bootstrap:
        asyncio.run(create_topics(bootstrap, [name.format(prefix=prefix) for name in TOPICS]))
        migrate(place, settings, prefix)
        before, after = (market(*minutes, seed=number) for number, minutes in enumerate(PARTS))
        with worker(place, settings) as (process, port):
            asyncio.run(produce(bootstrap, before))
            wait(lambda: total(port).get("read") == len(before), "the first part has been read")
            wait(lambda: read_model_is_live(port), "the read model has the bars of the first part")
            end(process, signal.SIGTERM, 0)
        finals = f"{prefix}bar_1m_final"
        published = asyncio.run(count(bootstrap, finals))
        more = {"checkpoint_interval": "1h"} if killed else {}
        with worker(place, {**settings, **more}) as (process, port):
            asyncio.run(produce(bootstrap, after))
            wait(lambda: total(port).get("read") == len(before) + len(after), "the second part has been read")
            if killed:
                wait(lambda: asyncio.run(count(bootstrap, finals)) > published, "bars are published after the checkpoint")
                time.sleep(1.0)  # the other partition may still be publishing
                end(process, signal.SIGKILL, -signal.SIGKILL)
            else:
                end(process, signal.SIGTERM, 0)
    tidy(place)
    if not killed:  # one read model is enough, and it is the largest file
        shutil.rmtree(place / "data" / "read-model")


@contextmanager
def pocket(directory: Path) -> Iterator[str]:
    """A pocket broker on a free port; yields `host:port`."""
    directory.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "app.pocket", "--port", str(port), "--data-dir", str(directory), "--idle-exit", "0"]
    process = subprocess.Popen(command, cwd=directory, env=clock())
    try:
        wait((directory / "process.json").exists, "the pocket broker listens")
        yield f"127.0.0.1:{port}"
        end(process, signal.SIGTERM, 0)
    finally:
        process.kill()


@contextmanager
def worker(place: Path, settings: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A ready worker and its web port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker", "-l", "warn"],
        cwd=place,
        env=environment(place, {**settings, "web_port": str(port)}),
    )
    try:
        wait(lambda: get(port, "/readyz") is not None, "the worker is ready")
        yield process, port
    finally:
        process.kill()


def migrate(place: Path, settings: dict[str, str], prefix: str) -> None:
    """Apply the shipped migrations on the stand-in ksqlDB."""
    command = [sys.executable, "-m", "tests.ksqldb_server", "--state", str(place / "ksqldb.json")]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for topic in ("ticks", f"{prefix}bar_1m_final"):
            body = json.dumps({"name": topic, "partitions": PARTITIONS}).encode()
            request = urllib.request.Request(f"{url}/_topics", body, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=10).close()
        command = [sys.executable, "-m", "app", "migrate", "--apply", "--server", url]
        subprocess.run(command, cwd=place, env=environment(place, settings), check=True, timeout=DEADLINE)
    finally:
        server.kill()
        server.wait()


@functools.cache
def clock() -> dict[str, str]:
    """The caller's environment, in which Python imports a module that sets the clock back to `CLOCK`."""
    directory = Path(tempfile.mkdtemp(prefix="barwheel-clock-"))
    atexit.register(shutil.rmtree, directory)
    (directory / "sitecustomize.py").write_text(SHIFTED_CLOCK.format(seconds=int(time.time()) - CLOCK))
    return {**os.environ, "PYTHONPATH": str(directory)}


def environment(place: Path, settings: dict[str, str]) -> dict[str, str]:
    """The caller's environment with the settings of one app in place of its own."""
    inherited = {name: value for name, value in clock().items() if not name.startswith("BARWHEEL_")}
    ours = {**settings, "data_dir": str(place / "data"), "topic_partitions": str(PARTITIONS)}
    user = {"LOGNAME": "maker"}  # the history of migrations records who applied them
    return {**inherited, **user, **{f"BARWHEEL_{name.upper()}": value for name, value in ours.items()}}


async def create_topics(bootstrap: str, topics: list[str]) -> None:
    """Create the topics that would otherwise lose their records to retention."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        side = {"max.message.bytes": str(1_048_588 + 65_536)}
        new = [
            NewTopic(name, PARTITIONS, 1, topic_configs={**KEEP_FOREVER, **(side if "_" in name else {})}) for name in topics
        ]
        await admin.create_topics(new)
    finally:
        await admin.close()


async def produce(bootstrap: str, messages: list[Message]) -> None:
    """Send messages in their order and wait until all are acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    await producer.start()
    try:
        sent = [await producer.send("ticks", value, key, partition=partition) for partition, key, value in messages]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def count(bootstrap: str, topic: str) -> int:
    """The sum of a topic's end offsets."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        return sum(ends.values())
    finally:
        await consumer.stop()


def total(port: int) -> dict[str, int]:
    """The worker's counters, summed over its partitions."""
    found = get(port, "/api/v1/accounting")
    return dict(found["total"]) if found else {}


def read_model_is_live(port: int) -> bool:
    """Whether the read model has read everything that was published."""
    found = get(port, "/api/v1/status")
    return found is not None and found["read_model"]["state"] == "live" and found["read_model"]["behind"] == 0


def get(port: int, path: str) -> dict[str, Any] | None:
    """The JSON that a worker answers; None while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return None


def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; raises `TimeoutError`."""
    until = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {DEADLINE:.0f} s: {what}")
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes], number: signal.Signals, code: int) -> None:
    """End a process by a signal; raises `RuntimeError` for another exit code."""
    process.send_signal(number)
    if process.wait(DEADLINE) != code:
        raise RuntimeError(f"exit code {process.returncode} after {number.name}")


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tidy(place: Path) -> None:
    """Remove what belongs to the processes and not to the data; move the read model's write-ahead log into its file."""
    for name in DEBRIS:
        (place / "data" / "pocket" / name).unlink(missing_ok=True)
    for file in (place / "data" / "read-model").glob("*.sqlite"):
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA user_version")
        connection.close()


if __name__ == "__main__":
    main()
