"""An error that nobody foresaw ends the worker with exit code 1, wherever it comes up: Faust would log it and go on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ticks import Tick, heartbeat, produce
from tests.support.worker import DEADLINE, Worker

T0 = 1_399_248_000_000
PROGRAM = """
import sys
from agents import task_creator, finals, task
from app.cli import main

def breaks(owner, name):
    original = getattr(owner, name)

    async def broken(self, *args):
        checkpoints = getattr(self, "_checkpoints", None)
        if checkpoints is not None and checkpoints.required:
            return await original(self, *args)
        raise RuntimeError("nobody foresaw this")

    setattr(owner, name, broken)

owners = {
    "TaskCreator": task_creator.TaskCreator, "PartitionTask": task.PartitionTask, "FinalsPublisher": finals.FinalsPublisher
}
breaks(owners[sys.argv[1]], sys.argv[2])
main(["worker", "-l", "info"])
"""


class Broken(Worker):
    """A worker with a method that raises."""

    method: tuple[str, str]

    def spawn(self) -> Broken:
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-c", PROGRAM, *self.method]
            self.process = subprocess.Popen(
                command, cwd=self.directory, env=self.environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        return self


@pytest.mark.parametrize(
    "method",
    [
        ("TaskCreator", "_try_recover"),
        ("PartitionTask", "_feed"),
        ("FinalsPublisher", "send"),
    ],
    ids="/".join,
)
def test_an_error_that_nobody_foresaw_ends_the_worker_with_code_1(pocket: str, tmp_path: Path, method: tuple[str, str]) -> None:
    worker = Broken(pocket, tmp_path, topic_partitions="1")
    worker.method = method
    worker.spawn()
    try:
        if method[1] != "_try_recover":
            worker.wait(worker.ready, "it is ready")
            produce(worker.bootstrap, worker.ticks_topic, [Tick(T0), heartbeat(T0 + 66_000)])
        assert worker.process is not None
        assert worker.process.wait(DEADLINE) == 1
        assert "nobody foresaw this" in worker.log()
    finally:
        worker.end()


def test_an_error_in_the_last_checkpoint_is_not_taken_for_a_good_end(pocket: str, tmp_path: Path) -> None:
    worker = Broken(pocket, tmp_path, topic_partitions="1", checkpoint_interval="1h")
    worker.method = "PartitionTask", "_make_checkpoint"
    worker.start()
    try:
        produce(worker.bootstrap, worker.ticks_topic, [Tick(T0)])
        worker.wait_read(1)
        assert worker.process is not None
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(DEADLINE) == 1
        assert "nobody foresaw this" in worker.log()
    finally:
        worker.end()
