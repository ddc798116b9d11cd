"""How long a killed worker's partitions are without bars, and how fast the state of a partition is read."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from rich.console import Console

from agents.recovery import recover
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.settings import Settings
from benchmarks.synthetic_ticks import BROKERS, PARTITIONS, WINDOW_MS, write
from benchmarks.throughput import ROOT, Options, broker, delete_topics, free_port, say

SESSION_SECONDS = 6
DEADLINE = 300.0
POLL = 0.05
RATE_BOUND = 13_000  # records a second: what Faust's own recovery reads (record by record)


def run(options: Options) -> dict[str, Any]:
    """Measure both on one topic."""
    symbols = options.symbols[0]
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            say(f"writing {options.ticks:,} ticks of {symbols:,} symbols")
            market = asyncio.run(write(address, f"{name}-ticks", symbols, options.ticks))
            newest = max(market.stream_time.values())
            settings = Settings.load(
                app_id=name,
                broker=f"kafka://{address}",
                ticks_topic=market.topic,
                topics_prefix=f"{name}-",
                session_timeout=f"{SESSION_SECONDS}s",
                idle_close="off",  # no window closes before the benchmark closes it
            )
            handover = _handover(settings, Path(scratch), options.ticks, newest)
            read = asyncio.run(_read(settings, address))
        finally:
            asyncio.run(delete_topics(address, name))
    return {
        "symbols": symbols,
        "ticks": options.ticks,
        "session_seconds": SESSION_SECONDS,
        "handover_seconds": round(handover, 1),
        **read,
        "kept": read["records_per_second"] > RATE_BOUND,
    }


def _handover(settings: Settings, scratch: Path, ticks: int, newest: int) -> float:
    """Seconds from the kill of one of two workers to the first bar of a partition that it had."""
    with _worker(settings, scratch / "one") as one, _worker(settings, scratch / "two") as two:
        _wait(lambda: len(one.held()) == len(two.held()) == PARTITIONS // 2, "each has half of the partitions")
        _wait(lambda: one.read() + two.read() >= ticks, "all is read")
        lost = {int(number) for number in one.held()}
        one.process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        say("  killed one of two workers")
        asyncio.run(_first_bar(settings, lost, newest))
        return time.monotonic() - killed


async def _first_bar(settings: Settings, partitions: set[int], newest: int) -> None:
    """Move stream time past the open windows of these partitions, and wait for a bar of them."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="latest")
    await producer.start()
    await consumer.start()
    try:
        finals = [TopicPartition(settings.finals_topic, number) for number in partitions]
        consumer.assign(finals)
        await consumer.seek_to_end(*finals)
        ts = newest - newest % WINDOW_MS + 2 * WINDOW_MS
        for number in partitions:
            for name in BROKERS:
                value = b'{"ts":%d,"heartbeat":true}' % ts
                await producer.send_and_wait(settings.ticks_topic, value, f"{name}|x".encode(), partition=number)
        until = time.monotonic() + DEADLINE
        while not await consumer.getmany(timeout_ms=50):
            if time.monotonic() > until:
                raise RuntimeError("no bar came")
    finally:
        await consumer.stop()
        await producer.stop()


async def _read(settings: Settings, address: str) -> dict[str, Any]:
    """Read the state of every partition as an assignment does."""
    names = frozenset({settings.ticks_topic, settings.finals_topic, settings.changelog_topic})
    records = states = 0
    seconds = 0.0
    async with Reader(Cluster(address), names) as reader:
        for number in range(PARTITIONS):
            started = time.monotonic()
            found = await recover(reader, settings, number, PARTITIONS)
            seconds += time.monotonic() - started
            records += found.changelog_end - found.position.changelog_start + len(found.tail)
            states += len(found.states)
    return {
        "states": states,
        "records": records,
        "read_seconds": round(seconds, 2),
        "records_per_second": round(records / seconds),
    }


class _Worker:
    """A worker, by its process and its web port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self._port, self._log = process, port, log

    def _accounting(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/accounting", timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if self.process.poll() is not None:
                raise RuntimeError(f"the worker ended: {self._log.read_text()[-2_000:]}") from None
            return {"partitions": {}, "total": {"read": 0}}

    def held(self) -> list[str]:
        return list(self._accounting()["partitions"])

    def read(self) -> int:
        return int(self._accounting()["total"]["read"])


@contextmanager
def _worker(settings: Settings, directory: Path) -> Iterator[_Worker]:
    directory.mkdir(parents=True)
    port, log = free_port(), directory / "log"
    names = ("app_id", "broker", "ticks_topic", "topics_prefix", "session_timeout", "idle_close")
    ours = {f"BARWHEEL_{name.upper()}": settings.text_of(name) for name in names}
    ours |= {"BARWHEEL_WEB_PORT": str(port), "BARWHEEL_DATA_DIR": str(directory), "PYTHONPATH": str(ROOT)}
    with log.open("wb") as out:
        command = [sys.executable, "-m", "app", "worker"]
        process = subprocess.Popen(command, env=os.environ | ours, stdout=out, stderr=out)  # our own module
        try:
            yield _Worker(process, port, log)
        finally:
            process.terminate()
            process.wait()


def _wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"after {DEADLINE} s still not: {what}")
        time.sleep(POLL)


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    console.print(
        f"{report['symbols']:,} symbols in {PARTITIONS} partitions, {report['ticks']:,} ticks read by two workers\n"
        f"  from the kill of one to the first bar of its partitions on the other: {report['handover_seconds']} s, "
        f"of which session_timeout={report['session_seconds']}s\n"
        f"  reading the state of all partitions: {report['records']:,} records, {report['states']:,} live states, "
        f"{report['read_seconds']} s: {report['records_per_second']:,} records/s "
        f"(expected above {RATE_BOUND:,}: {'kept' if report['kept'] else 'missed'})"
    )
