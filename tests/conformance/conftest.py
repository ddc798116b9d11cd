"""The brokers under test: the pocket broker in its own process, and Apache Kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.pocket_process import PocketProcess


@pytest.fixture(scope="session")
def pocket_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the shared pocket broker."""
    return tmp_path_factory.mktemp("pocket")


@pytest.fixture(scope="session")
def pocket(pocket_directory: Path) -> Iterator[str]:
    """`host:port` of a pocket broker that all tests of the run share."""
    process = PocketProcess(pocket_directory)
    process.start()
    yield process.bootstrap
    process.stop()


@pytest.fixture(scope="session", params=["pocket", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> str:
    """`host:port` of each kind of broker in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def own_pocket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PocketProcess]:
    """A running pocket broker of this test alone, which may kill and restart it."""
    process = PocketProcess(tmp_path_factory.mktemp("own-pocket"))
    process.start()
    yield process
    if process.alive:
        process.stop()
    if request.session.testsfailed:
        sys.stderr.write(process.log_tail())
