"""The programs in examples/ read the bars of a worker, with every digit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, produce, read
from tests.support.waiting import until_sync
from tests.support.worker import ROOT, Worker

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

T0 = 1_399_248_000_000
DEADLINE = 60
BARS = [f"A x {T0 + minute * 60_000} 1.3869000000000000{minute} 1" for minute in (0, 1)]  # more digits than a float has


@pytest.fixture(scope="module")
def worker(module_worker: NewWorker) -> Worker:
    """A stopped worker whose topic has two bars."""
    made = module_worker(topic_partitions="1", idle_close="off").start()
    ticks = [Tick(T0 + minute * 60_000 + 6_000, bid=f"1.3869000000000000{minute}") for minute in range(3)]
    produce(made.bootstrap, made.ticks_topic, ticks)
    read(made.bootstrap, made.finals_topic, 2)
    made.stop()
    return made


def run(*args: str) -> list[str]:
    done = subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("program", ["aiokafka_bars.py", "confluent_bars.py"])
def test_a_consumer_prints_the_bars(worker: Worker, program: str) -> None:
    assert run(f"examples/{program}", worker.bootstrap, worker.finals_topic, "2") == BARS


def test_an_agent_of_another_faust_app_logs_the_bars(worker: Worker, tmp_path: Path) -> None:
    environment = {**os.environ, "BROKER": worker.bootstrap, "TOPIC": worker.finals_topic}
    command = [sys.executable, "-m", "faust", "-A", "examples.faust_bars", "--datadir", str(tmp_path), "worker", "-l", "info"]
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            until_sync(lambda: len(_logged(tmp_path / "log")) == len(BARS), deadline=DEADLINE, what="the bars are logged")
        finally:
            process.kill()
            process.wait()
    assert _logged(tmp_path / "log") == BARS


def _logged(path: Path) -> list[str]:
    lines = (line.rstrip().split("] [INFO] ")[-1] for line in path.read_text().splitlines())
    return [line for line in lines if line.startswith("A x ")]


def test_an_export_is_read_with_pyarrow(worker: Worker, tmp_path: Path) -> None:
    exported = worker.run("export", str(tmp_path / "bars"), "--scale", "17")
    assert exported.returncode == 0, exported.stderr
    assert run("examples/arrow_bars.py", str(tmp_path / "bars")) == BARS
