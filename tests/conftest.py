"""Fixtures for all tests: Apache Kafka, if one is available; and the order of the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import use_profile
from tests.support.kafka import Server, any_kafka, kafka_required, kafka_unavailable, own_kafka

# A shell starts its background jobs with SIGINT ignored, and the processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


use_profile()

# The files that take longest begin first, so that none of them runs alone at the end of a parallel run.
LONGEST = (
    *("chaos", "cluster", "rebalance", "migrations", "commands", "restart"),
    *("real_ticks", "broker_trouble", "pages", "flush"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, then the other tests with workers, then the rest."""

    def rank(item: pytest.Item) -> int:
        if "integration" not in item.path.parts:
            return len(LONGEST) + 1
        names = item.path.relative_to(item.config.rootpath).parts
        return next((place for place, word in enumerate(LONGEST) if any(word in name for name in names)), len(LONGEST))

    items.sort(key=rank)


# In CI these files start their processes as users do, with a new interpreter each; see `tests/support/preloaded.py`.
STARTED_ANEW = ("test_bad_settings", "test_signals", "test_unforeseen")


@pytest.fixture(scope="module", autouse=True)
def _processes_started_anew(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("CI") and request.path.stem in STARTED_ANEW:
            patch.setenv("BARWHEEL_TEST_PRELOAD", "off")
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of an Apache Kafka that all tests of the run share; skips the test if there is none."""
    skip_without_kafka(kafka_unavailable())
    with any_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture
def kafka_server(tmp_path: Path) -> Iterator[Server]:
    """An Apache Kafka that this test may stop, kill and restart; skips the test if there is none."""
    skip_without_kafka(kafka_unavailable(own=True))
    with own_kafka(tmp_path / "kafka") as server:
        yield server


def skip_without_kafka(reason: str | None, *, required: bool | None = None) -> None:
    """Skip the test if there is a reason, or fail it if Kafka was requested (`required`: None asks)."""
    if reason is None:
        return
    if kafka_required() if required is None else required:
        # Kafka was requested: a skip would hide that nothing ran
        pytest.fail(reason)
    pytest.skip(reason)
