"""Throughput: the worker, idiomatic Faust and two floors, all on one topic in one run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.measure import Measured, Subject, running
from benchmarks.synthetic_ticks import GRACE_MS, PARTITIONS, Market, write
from tests.support.kafka import any_kafka
from tests.support.kafka_node import FULL_JVM

ROOT = Path(__file__).resolve().parents[1]
IDIOMATIC_TICKS = 100_000
SUBJECTS = ("idiomatic", "barwheel", "python", "records", "batches")
LABELS = {
    "idiomatic": "idiomatic Faust",
    "barwheel": "barwheel",
    "python": "barwheel, core in Python",
    "records": "floor: ConsumerRecords",
    "batches": "floor: raw batches",
}


@dataclass(frozen=True)
class Run:
    """One run of a subject. `bars`: the records in its output topic, if it has one."""

    subject: str
    symbols: int
    measured: Measured
    bars: int | None = None


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    ticks: int
    symbols: Sequence[int]
    repeat: int
    subjects: Sequence[str]
    bootstrap: str | None
    pocket: bool


def run(options: Options) -> tuple[list[Run], dict[int, Market]]:
    """Measure everything; progress goes to standard error."""
    runs: list[Run] = []
    markets: dict[int, Market] = {}
    with (
        tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch,
        broker(options, Path(scratch)) as address,
    ):
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            for symbols in options.symbols:
                say(f"writing {options.ticks:,} ticks of {symbols:,} symbols")
                market = asyncio.run(write(address, f"{name}-ticks-{symbols}", symbols, options.ticks))
                markets[symbols] = market
                for turn in range(options.repeat):
                    for subject in options.subjects:
                        directory = Path(scratch) / f"{subject}-{symbols}-{turn}"
                        runs.append(_measure(subject, address, market, f"{name}-{subject}-{symbols}-{turn}", directory))
                        say(_line(runs[-1]))
        finally:
            asyncio.run(delete_topics(address, name))
    return runs, markets


def _measure(subject: str, bootstrap: str, market: Market, name: str, directory: Path) -> Run:
    if subject == "barwheel":
        return worker(bootstrap, market, name, directory)
    if subject == "python":
        return replace(worker(bootstrap, market, name, directory, {"NATIVE": "off"}), subject=subject)
    total, arguments = market.ticks, [market.topic]
    module = subject
    if subject == "idiomatic":
        total, arguments, module = min(market.ticks, IDIOMATIC_TICKS), [name, market.topic], "idiomatic_faust"
    command = [sys.executable, "-m", f"benchmarks.subjects.{module}", bootstrap, *arguments, str(total)]
    with running(command, directory, environment()) as process:
        return Run(subject, market.symbols, process.by_marks(total))


def worker(  # what a run is made of
    bootstrap: str,
    market: Market,
    name: str,
    directory: Path,
    more: Mapping[str, str] | None = None,
    beside: Callable[[int], AbstractContextManager[object]] = nullcontext,
) -> Run:
    """Run barwheel's worker on the market, with `more` settings. `beside` is entered with its web port while it runs."""
    with started(bootstrap, market.topic, name, directory, more) as (process, port), beside(port):
        measured = process.by_asking(lambda: ticks_read(port), market.ticks)
    # counted after a clean shutdown, when its last bars have been acknowledged
    bars = asyncio.run(records_in(bootstrap, f"{name}-bar_1m_final"))
    if not market.fewest_bars <= bars <= market.most_bars:
        raise RuntimeError(f"{bars} bars, expected {market.fewest_bars} to {market.most_bars}: {directory / 'log'}")
    return Run("barwheel", market.symbols, measured, bars)


@contextmanager
def started(
    bootstrap: str, topic: str, name: str, directory: Path, more: Mapping[str, str] | None = None
) -> Iterator[tuple[Subject, int]]:
    """Barwheel's worker on a topic, with `more` settings, and its web port."""
    port = free_port()
    settings = {
        **settings_of(bootstrap, topic, name),
        "WEB_PORT": str(port),
        "DATA_DIR": str(directory / "data"),
        **(more or {}),
    }
    ours = environment() | {f"BARWHEEL_{key}": value for key, value in settings.items()}
    with running([sys.executable, "-m", "app", "worker", "-l", "warn"], directory, ours) as process:
        yield process, port


def settings_of(bootstrap: str, topic: str, name: str) -> dict[str, str]:
    """The settings of a worker that differ from the defaults, by their names in the environment."""
    return {
        "APP_ID": name,
        "BROKER": f"kafka://{bootstrap}",
        "TICKS_TOPIC": topic,
        "TOPICS_PREFIX": f"{name}-",
        "SCOPE": "broker",
        "GRACE": f"{GRACE_MS}ms",
    }


def accounting(port: int) -> dict[str, Any] | None:
    """What a worker has counted so far, as its API shows it; None if it is not up yet, or has ended."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/accounting", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def ticks_read(port: int) -> int | None:
    """How many ticks a worker has read, exactly: the group's offset moves only with a checkpoint. None if it is not up yet."""
    found = accounting(port)
    return None if found is None else int(found["total"]["read"])


def environment() -> dict[str, str]:
    """For a process that imports the benchmarks."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


@contextmanager
def broker(options: Options, scratch: Path) -> Iterator[str]:
    """`host:port` of the broker that the options select."""
    if options.bootstrap:
        yield options.bootstrap
    elif options.pocket:
        from app.pocket import process  # noqa: PLC0415 - only where it is asked for

        found = process.ensure(scratch / "pocket", "127.0.0.1", 0, 60.0)
        try:
            yield f"{found.host}:{found.port}"
        finally:
            process.stop(scratch / "pocket")
    else:
        say("starting Apache Kafka")
        with any_kafka(scratch / "kafka", jvm=FULL_JVM) as address:
            yield address


async def records_in(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> int:
    """How many records a topic holds. Its offsets would also count transaction markers."""
    places = [TopicPartition(topic, number) for number in range(partitions)]
    count = 0
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while [await consumer.position(place) for place in places] != [ends[place] for place in places]:
            count += sum(len(found) for found in (await consumer.getmany(timeout_ms=200)).values())
    return count


async def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete the topics with this prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        ours = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _line(run: Run) -> str:
    m = run.measured
    return f"  {LABELS[run.subject]}: {m.ticks_per_second:,.0f} ticks/s, {m.cpu_us:.2f} us of CPU a tick"


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
