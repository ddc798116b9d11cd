"""The benchmark of the peers makes right bars with each program that is installed here, on Apache Kafka."""

from __future__ import annotations

import os
import uuid

import pytest

from benchmarks.peers import installed
from benchmarks.peers.judge import Verdict
from benchmarks.peers.run import Bench, Topic, measure, written
from benchmarks.peers.subjects import PEERS

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

IN_CI = ("barwheel", "streams")  # all of them take more than a minute
SYMBOLS, TICKS = 20, 20_000  # five minutes of this market; the benchmark is not measured here
NEEDS = {
    "flink": lambda: installed.jars_of("flink"),
    "streams": lambda: installed.jars_of("streams"),
    "csp": installed.environment_directory,
    "quix": installed.environment_directory,
}


@pytest.fixture(scope="module")
def topic(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Topic]:
    bench = Bench(kafka, f"peers-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("peers"))
    return bench, written(bench, SYMBOLS, TICKS)


@pytest.mark.parametrize("peer", ["barwheel", *NEEDS])
def test_each_bar_is_right(topic: tuple[Bench, Topic], peer: str) -> None:
    if os.environ.get("CI") and peer not in IN_CI:
        pytest.skip(f"{PEERS[peer].label} is not run in continuous integration, for its time")
    if peer in NEEDS and not NEEDS[peer]().is_dir():
        pytest.skip(f"{PEERS[peer].label} is not installed: `python -m benchmarks peers --peers {peer}` installs it")
    try:
        command = PEERS[peer].command()
    except installed.NotInstalledError as error:
        pytest.skip(f"{PEERS[peer].label} cannot run: {error}")
    bench, ticks = topic
    due = ticks.reference.due_bars
    assert due == 4 * SYMBOLS
    assert measure(peer, command, bench, ticks, peer).verdict == Verdict(due, due, wrong=0, missing=0, doubled=0)
