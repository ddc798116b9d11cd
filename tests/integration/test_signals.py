"""How a worker ends after SIGTERM, also while its broker does not respond."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import ENSURE
from tests.support.preloaded import Process
from tests.support.ticks import Tick, produce
from tests.support.worker import DEADLINE, ROOT, Worker

T0 = 1_399_248_000_000


@pytest.fixture
def own_pocket(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """`host:port` and process id of a pocket broker that this test may suspend."""
    command = [sys.executable, "-c", ENSURE, str(tmp_path / "broker")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    address, pid = json.loads(done.stdout)
    yield address, pid
    os.kill(pid, signal.SIGKILL)


@contextmanager
def silent_broker(own_pocket: tuple[str, int], worker: Worker) -> Iterator[Process]:
    """Send SIGTERM to a worker with an open window while its broker is suspended; the next start resumes from there."""
    address, pid = own_pocket
    worker.start()
    try:
        produce(address, worker.ticks_topic, [Tick(T0)])
        worker.wait_read(1)
        os.kill(pid, signal.SIGSTOP)
        process = worker.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        yield process
    finally:
        os.kill(pid, signal.SIGCONT)
        worker.end()
    worker.start()
    worker.wait(lambda: worker.open_windows() == 1, "the window is open again")
    worker.stop()


def test_a_second_sigterm_ends_a_worker_that_cannot_finish(own_pocket: tuple[str, int], tmp_path: Path) -> None:
    worker = Worker(own_pocket[0], tmp_path / "worker", checkpoint_interval="1h")
    with silent_broker(own_pocket, worker) as process:
        worker.wait_log("Signal received")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM
    assert "SIGTERM again: ended at once, without a last checkpoint" in worker.log()


def test_a_worker_whose_broker_does_not_respond_ends_after_sigterm_and_resumes_at_the_next_start(
    own_pocket: tuple[str, int], tmp_path: Path
) -> None:
    worker = Worker(own_pocket[0], tmp_path / "worker", checkpoint_interval="1h")
    with silent_broker(own_pocket, worker) as process:
        assert process.wait(DEADLINE) == 0
    assert "no last checkpoint within" in worker.log()
