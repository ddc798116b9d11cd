"""The brokers that workers are tested on, and workers that are killed when their test ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.pocket_process import PocketProcess
from tests.support.worker import ROOT, Worker

NewWorker = Callable[..., Worker]


ENSURE = """
import json, pathlib, sys
from app.pocket import process
found = process.ensure(pathlib.Path(sys.argv[1]), "127.0.0.1", 0, 60.0)
print(json.dumps([f"{found.host}:{found.port}", found.pid]))
"""


@pytest.fixture(scope="session")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a pocket broker on a free port, started as a worker starts it."""
    directory = tmp_path_factory.mktemp("pocket")
    command = [sys.executable, "-c", ENSURE, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    address, pid = json.loads(done.stdout)
    host, port = address.split(":")
    with socket.create_connection((host, int(port))):  # without a connection it would exit between tests
        yield address
        os.kill(pid, signal.SIGTERM)


@pytest.fixture(scope="session", params=["pocket", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> str:
    """`host:port` of each kind of broker in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def own_pocket(tmp_path: Path) -> Iterator[PocketProcess]:
    """A running pocket broker of this test alone, which may suspend, kill and restart it, and cut its logs."""
    directory = tmp_path / "pocket"
    directory.mkdir()
    process = PocketProcess(directory)
    process.start()
    yield process
    if process.alive:
        process.stop()


def _factory(broker: str, directory: Path) -> Iterator[NewWorker]:
    workers: list[Worker] = []

    def new(**settings: str) -> Worker:
        workers.append(Worker(broker, directory / str(len(workers)), **settings))
        return workers[-1]

    yield new
    for worker in workers:
        worker.end()


@pytest.fixture(scope="module")
def module_worker(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewWorker]:
    """Creates workers that the tests of a module share."""
    yield from _factory(broker, tmp_path_factory.mktemp("workers"))


@pytest.fixture
def new_worker(broker: str, tmp_path: Path) -> Iterator[NewWorker]:
    """Creates workers for one test."""
    yield from _factory(broker, tmp_path)


@pytest.fixture
def pocket_worker(pocket: str, tmp_path: Path) -> Iterator[NewWorker]:
    """The same on the pocket broker only, for what does not depend on the broker."""
    yield from _factory(pocket, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the logs of the running workers in the report of a failed test."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # pluggy sends it in
    if report.failed:
        for worker in [w for w in Worker.started if w.process is not None][-3:]:
            report.sections.append((f"log of {worker.settings['app_id']}", worker.tail()))
    return report  # type: ignore[return-value]
