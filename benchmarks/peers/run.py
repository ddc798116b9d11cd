"""`python -m benchmarks peers`: each subject in its turn on the same topics of one Kafka."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Measured
from benchmarks.peers.columns import Bars, Keys, Ticks
from benchmarks.peers.installed import NotInstalledError
from benchmarks.peers.judge import Reference, Verdict
from benchmarks.peers.output import Output
from benchmarks.peers.subjects import PEERS, Job
from benchmarks.synthetic_ticks import Market, generate, publish
from benchmarks.throughput import Options, broker, delete_topics, say

TICK_BYTES = 85  # in the log


class Run(NamedTuple):
    """One run of a subject. `measured`: None if it was through between two looks."""

    peer: str
    symbols: int
    ticks: int
    measured: Measured | None
    peak_mb: float
    verdict: Verdict


class Found(NamedTuple):
    """All runs, and why a subject has none."""

    runs: list[Run]
    not_run: dict[str, str]


class Topic(NamedTuple):
    """A topic of ticks and its true bars."""

    name: str
    symbols: int
    ticks: int
    keys: Keys
    reference: Reference


def run(options: Options) -> Found:
    """Measure and judge everything; progress goes to standard error."""
    found = Found([], {})
    commands = _prepared(options.subjects, found)
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            for symbols in options.symbols:
                place = Path(scratch) / str(symbols)
                _market(options, commands, Bench(address, f"{name}-{symbols}", place), symbols, found)
                asyncio.run(delete_topics(address, name))  # one market at a time is on the disk
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
            say("stopped: what follows was measured before")
        finally:
            asyncio.run(delete_topics(address, name))
    return found


class Bench(NamedTuple):
    """The broker, a prefix of topics, and a directory for the subjects' files."""

    address: str
    name: str
    scratch: Path


def _prepared(peers: Sequence[str], found: Found) -> dict[str, list[str]]:
    commands = {}
    for peer in peers:
        try:
            commands[peer] = PEERS[peer].command()
        except NotInstalledError as error:
            found.not_run[peer] = str(error)
            say(f"{PEERS[peer].label} is not run: {error}")
    return commands


def _market(options: Options, commands: dict[str, list[str]], bench: Bench, symbols: int, found: Found) -> None:
    topics: dict[int, Topic] = {}
    for turn in range(options.repeat):
        for peer, command in commands.items():
            ticks = min(options.ticks, PEERS[peer].most_ticks or options.ticks)
            if ticks not in topics:
                topics[ticks] = written(bench, symbols, ticks)
            try:
                found.runs.append(measure(peer, command, bench, topics[ticks], f"{peer}-{turn}"))
            except RuntimeError as error:
                found.not_run[peer] = f"failed: {str(error).splitlines()[0]}"
                say(str(error))
            else:
                say(_line(found.runs[-1]))


def written(bench: Bench, symbols: int, ticks: int) -> Topic:
    """Write the first ticks of the market into a topic."""
    say(f"writing {ticks:,} ticks of {symbols:,} symbols, {ticks * TICK_BYTES / 1e6:,.0f} MB")
    name, keys = f"{bench.name}-ticks-{ticks}", Keys()
    sent = Ticks(keys)
    asyncio.run(publish(bench.address, name, sent.noting(generate(Market(name, symbols, ticks)))))
    return Topic(name, symbols, ticks, keys, Reference.of(sent))


def measure(peer: str, command: list[str], bench: Bench, topic: Topic, place: str) -> Run:
    """Run a subject once, and judge its bars."""
    subject = PEERS[peer]
    job = Job(bench.address, topic.name, topic.ticks, f"{bench.name}-{place}", bench.scratch / place)
    try:
        with ExitStack() as stack:
            with subject.running(job, command) as (process, measured):
                output = stack.enter_context(Output(bench.address, job.bars, Bars(topic.keys, ours=subject.ours)))
                output.read_until_quiet(topic.reference.due_bars)
                peak_mb = process.peak_mb()
            output.read()  # what it still sent as it was stopped
    finally:
        asyncio.run(delete_topics(bench.address, job.name))
    return Run(peer, topic.symbols, topic.ticks, measured, peak_mb, topic.reference.judge(output.bars))


def _line(run: Run) -> str:
    rates = "over between two looks: use more --ticks"
    if run.measured is not None:
        rates = f"{run.measured.cpu_us:.2f} us of CPU a tick, {run.measured.ticks_per_second:,.0f} ticks/s"
    return f"  {PEERS[run.peer].label}: {rates}, {run.verdict.right:,} of {run.verdict.due:,} bars right"
