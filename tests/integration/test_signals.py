"""How a worker ends after SIGTERM, also while its broker does not respond."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.pocket_process import PocketProcess
from tests.support.preloaded import Process
from tests.support.ticks import Tick, produce
from tests.support.worker import DEADLINE, Worker

T0 = 1_399_248_000_000


@contextmanager
def silent_broker(own_pocket: PocketProcess, worker: Worker) -> Iterator[Process]:
    """Send SIGTERM to a worker with an open window while its broker is suspended; the next start resumes from there."""
    worker.start()
    try:
        produce(own_pocket.bootstrap, worker.ticks_topic, [Tick(T0)])
        worker.wait_read(1)
        own_pocket.send_signal(signal.SIGSTOP)
        process = worker.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        yield process
    finally:
        own_pocket.send_signal(signal.SIGCONT)
        worker.end()
    worker.start()
    worker.wait(lambda: worker.open_windows() == 1, "the window is open again")
    worker.stop()


def test_a_second_sigterm_ends_a_worker_that_cannot_finish(own_pocket: PocketProcess, tmp_path: Path) -> None:
    worker = Worker(own_pocket.bootstrap, tmp_path / "worker", checkpoint_interval="1h")
    with silent_broker(own_pocket, worker) as process:
        worker.wait_log("Signal received")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM
    assert "SIGTERM again: ended at once, without a last checkpoint" in worker.log()


def test_a_worker_whose_broker_does_not_respond_ends_after_sigterm_and_resumes_at_the_next_start(
    own_pocket: PocketProcess, tmp_path: Path
) -> None:
    worker = Worker(own_pocket.bootstrap, tmp_path / "worker", checkpoint_interval="1h")
    with silent_broker(own_pocket, worker) as process:
        assert process.wait(DEADLINE) == 0
    assert "no last checkpoint within" in worker.log()
