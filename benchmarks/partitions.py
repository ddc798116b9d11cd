"""What a worker with many partitions takes: its start, a rebalance, memory and connections."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Subject, running
from benchmarks.synthetic_ticks import create
from benchmarks.throughput import ROOT, Options, broker, delete_topics, free_port, say

SYMBOLS = 4  # in each partition, so that each has states to read
START = 1_399_248_000_000  # event time of the first tick
TIME_END = len("[2014-05-05 00:00:00,000")  # with which each line of a log begins
ESTABLISHED = "01"  # in /proc/net/tcp
LINEAR = 1.25  # four times the partitions may take four times the time, and a quarter more

Found = dict[str, float]


class Worker:
    """A worker under measurement, asked by its web port."""

    def __init__(self, subject: Subject, port: int, broker_port: int) -> None:
        self.subject = subject
        self.most_connections = 0
        self._port = port
        self._broker_port = broker_port

    def partitions(self) -> int:
        """How many partitions are at work; 0 while it is not ready."""
        self.most_connections = max(self.most_connections, self.connections())
        if self._get("readyz").get("state") != "running":
            return 0
        return len(self._get("api/v1/accounting").get("partitions", ()))

    def read(self) -> int:
        """How many records it has read."""
        return int(self._get("api/v1/accounting").get("total", {}).get("read", 0))

    def connections(self) -> int:
        """Its open connections to the broker."""
        pid = self.subject.process.pid
        sockets = set()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(entry.readlink().name)
            except OSError:
                continue  # closed since
        found = 0
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, _, remote, state, *rest = line.split()
                to_broker = int(remote.rpartition(":")[2], 16) == self._broker_port
                found += state == ESTABLISHED and to_broker and f"socket:[{rest[5]}]" in sockets
        return found

    def logged(self, words: str) -> list[float]:
        """When it logged these words, in epoch seconds: a state that lasts for milliseconds is not seen by asking."""
        lines = self.subject.log.read_text(errors="replace").splitlines()
        return [datetime.fromisoformat(line[1:TIME_END]).timestamp() for line in lines if words in line]

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError):  # not up yet, or not ready
            if self.subject.process.poll() is not None:
                raise self.subject.failed(f"ended with exit code {self.subject.process.returncode}") from None
            return {}


def run(options: Options, counts: Sequence[int]) -> dict[str, Any]:
    """Measure a worker with each of these numbers of partitions; progress goes to standard error."""
    results: dict[int, Found] = {}
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        for count in counts:
            name = f"bench-{uuid.uuid4().hex[:8]}"
            try:
                results[count] = _measure(address, name, count, Path(scratch) / name)
                say(f"  {count} partitions: {results[count]}")
            finally:
                asyncio.run(delete_topics(address, name))
    few, many = results[min(counts)], results[max(counts)]
    grown = max(counts) / min(counts) * LINEAR
    kept = all(many[what] <= grown * few[what] for what in ("restart_seconds", "rebalance_seconds"))
    return {"results": results, "kept": kept}


def _measure(address: str, name: str, count: int, scratch: Path) -> Found:
    say(f"{count} partitions: the first start")
    asyncio.run(create(address, f"{name}-ticks", count))
    found: Found = {}
    with _worker(address, name, scratch / "first") as first:
        found["first_start_seconds"] = _until([first], [count])
        asyncio.run(_fill(address, f"{name}-ticks", count))
        first.subject.wait_until(lambda: first.read() >= count * SYMBOLS, "all is read")
    with ExitStack() as stack:
        say("  a start that finds states")
        one = stack.enter_context(_worker(address, name, scratch / "one"))
        found["restart_seconds"] = _until([one], [count])
        found["restart_cpu"] = started = round(one.subject.sample(0).cpu, 2)
        found["connections"] = one.connections()
        say("  a rebalance")
        two = stack.enter_context(_worker(address, name, scratch / "two"))
        _until([one, two], [(count + 1) // 2, count // 2])
        ready = max(worker.logged("ready: partitions")[-1] for worker in (one, two))
        found["rebalance_seconds"] = round(ready - one.logged("revoked: ")[0], 2)
        found["rebalance_cpu"] = round(one.subject.sample(0).cpu - started, 2)
        found["most_connections"] = one.most_connections
        found["peak_mb"] = round(one.subject.peak_mb(), 1)
    return found


def _until(workers: Sequence[Worker], expected: Sequence[int]) -> float:
    """Seconds until the workers have these numbers of partitions, in any order."""
    began = time.monotonic()
    workers[0].subject.wait_until(
        lambda: sorted(worker.partitions() for worker in workers) == sorted(expected), f"{expected} partitions"
    )
    return round(time.monotonic() - began, 2)


async def _fill(address: str, topic: str, count: int) -> None:
    """Open a window of every symbol."""
    async with AIOKafkaProducer(bootstrap_servers=address, linger_ms=50) as producer:
        for partition in range(count):
            for number in range(SYMBOLS):
                key = f"b{partition}|s{number}".encode()
                await producer.send(topic, b'{"ts":%d,"bid":1.5}' % (START + number), key, partition=partition)
        await producer.flush()


@contextmanager
def _worker(address: str, name: str, directory: Path) -> Iterator[Worker]:
    port = free_port()
    settings = {
        "APP_ID": name,
        "BROKER": f"kafka://{address}",
        "TICKS_TOPIC": f"{name}-ticks",
        "TOPICS_PREFIX": f"{name}-",
        "IDLE_CLOSE": "off",  # the windows stay open
        "WEB_PORT": str(port),
        "DATA_DIR": str(directory / "data"),
    }
    environment = {f"BARWHEEL_{key}": value for key, value in settings.items()}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "app", "worker", "-l", "info"]
    with running(command, directory, environment) as subject:
        yield Worker(subject, port, int(address.rpartition(":")[2]))


ROWS = {
    "first_start_seconds": "first start to ready, s",
    "restart_seconds": "start with stored states to ready, s",
    "restart_cpu": "... CPU s",
    "rebalance_seconds": "rebalance, a second worker joins, s",
    "rebalance_cpu": "... CPU s of the first worker",
    "connections": "connections to the broker",
    "most_connections": "... most at once",
    "peak_mb": "peak MB",
}


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("partitions")
    results: Mapping[int, Found] = report["results"]
    for count in results:
        table.add_column(str(count), justify="right")
    for key, label in ROWS.items():
        table.add_row(label, *(f"{found[key]:,g}" for found in results.values()))
    console.print(table)
    console.print(f"  time grows no faster than the partitions: {'kept' if report['kept'] else '[red]missed[/red]'}")
