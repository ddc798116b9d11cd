"""This version continues what an earlier version stored: its topics, checkpoints, read model and migrations.

`tests/stored/make.py` writes the directories, with the interpreter of the version that they are named after.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agents.engines import engine_config
from agents.recovery import recover
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.pocket import process
from app.settings import Settings
from tests.stored.ticks import BROKERS, MINUTE_MS, PARTITIONS, START_MS, SYMBOLS, Message, closing, market
from tests.support.ksqldb import KsqlServer
from tests.support.reference import Answer
from tests.support.reference_records import parsed
from tests.support.ticks import Seen, Tick, produce, read
from tests.support.worker import ROOT, Worker
from tests.unit.model import expected

STORED = ROOT / "tests" / "stored"
DIRECTORIES = sorted(path.parent for path in STORED.glob("*/*/settings.json"))
STORED_UNTIL, CONTINUED_UNTIL = 9.5, 13.0  # minutes of the market
OPEN_MINUTE = START_MS + int(STORED_UNTIL) * MINUTE_MS  # its windows are open in every stored directory


@dataclass
class Continued:
    """What a worker of this version made of a stored directory, after more ticks and an orderly stop."""

    source: Path
    worker: Worker
    stored_finals: list[Seen]
    stored_ticks: list[Seen]
    tail: int  # stored bars that were published after the last checkpoint
    open_windows: int  # after the start, before any new tick
    total: dict[str, int]  # the accounting at the end
    served: dict[str, list[dict[str, Any]]]  # bars of the API by `broker/symbol`
    ticks: list[Seen]
    finals: list[Seen]
    late: list[Seen]
    rejected: list[Seen]

    @property
    def idle_close(self) -> bool:
        return self.worker.settings.get("idle_close") != "off"

    def answers(self) -> list[Answer]:
        """What the reference model gives for the whole topic, by partition."""
        return answers(self.worker, self.ticks)


def answers(worker: Worker, ticks: list[Seen]) -> list[Answer]:
    config = engine_config(Settings.load(_env_file=None, **worker.settings))
    return [expected([parsed(seen) for seen in ticks if seen.partition == number], config) for number in range(PARTITIONS)]


@contextmanager
def copy_of(source: Path, scratch: Path) -> Iterator[Worker]:
    """A worker, not started, on a copy of a stored directory, whose pocket broker runs."""
    directory = scratch / source.name
    shutil.copytree(source, directory)
    data = directory / "data"
    broker = process.ensure(data / "pocket", "127.0.0.1", 0, 0)
    settings = json.loads((source / "settings.json").read_text())
    settings |= {"broker": "", "ticks_topic": "ticks", "topic_partitions": str(PARTITIONS), "data_dir": str(data)}
    worker = Worker(f"{broker.host}:{broker.port}", directory / "worker", **settings)
    try:
        yield worker
    finally:
        worker.end()
        process.stop(data / "pocket")


@pytest.fixture(scope="module", params=DIRECTORIES, ids=lambda path: f"{path.parent.name}-{path.name}")
def continued(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Continued]:
    """Start a worker on a copy, feed it the rest of the market, and stop it."""
    with copy_of(request.param, tmp_path_factory.mktemp("stored")) as worker:
        yield run(request.param, worker)


def run(source: Path, worker: Worker) -> Continued:
    bootstrap = worker.bootstrap
    stored_finals = read(bootstrap, worker.finals_topic)
    stored_ticks = read(bootstrap, worker.ticks_topic)
    tail = asyncio.run(bars_after_the_checkpoint(worker))
    worker.start()
    worker.wait_read(len(stored_ticks))
    if worker.settings.get("idle_close") != "off":
        worker.wait(lambda: worker.open_windows() == 0, "silence has closed the stored windows")
    open_windows = worker.open_windows()
    send(worker, market(STORED_UNTIL, CONTINUED_UNTIL, seed=9) + closing(CONTINUED_UNTIL + 1))
    ticks = read(bootstrap, worker.ticks_topic)
    worker.wait_closed(len(ticks))
    total = worker.total()
    bars = sum(len(answer.bars) for answer in answers(worker, ticks))
    names = [f"{broker}/{symbol}" for broker in BROKERS for symbol in SYMBOLS]

    def served() -> dict[str, list[dict[str, Any]]]:
        return {name: (worker.get(f"/api/v1/bars/{name}") or {"bars": []})["bars"] for name in names}

    worker.wait(lambda: sum(map(len, served().values())) >= bars, "the read model has every bar")
    served_bars = served()
    worker.stop()
    finals, late, rejected = (
        read(bootstrap, topic) for topic in (worker.finals_topic, worker.late_topic, worker.rejected_topic)
    )
    return Continued(
        source, worker, stored_finals, stored_ticks, tail, open_windows, total, served_bars, ticks, finals, late, rejected
    )


async def bars_after_the_checkpoint(worker: Worker) -> int:
    settings = Settings.load(_env_file=None, **worker.settings)
    topics = frozenset({settings.ticks_topic, settings.finals_topic, settings.changelog_topic})
    async with Reader(Cluster(worker.bootstrap), topics) as reader:
        return sum([len((await recover(reader, settings, number, PARTITIONS)).tail) for number in range(PARTITIONS)])


def send(worker: Worker, messages: list[Message]) -> None:
    for number in range(PARTITIONS):
        batch = [Tick(key=key, value=value) for partition, key, value in messages if partition == number]
        produce(worker.bootstrap, worker.ticks_topic, batch, number)


def test_there_are_stored_directories_of_both_scopes_and_one_of_a_killed_worker() -> None:
    settings = {path.name: json.loads((path / "settings.json").read_text()) for path in DIRECTORIES}
    assert {found["scope"] for found in settings.values()} >= {"broker", "symbol"}
    assert any(name.endswith("killed") for name in settings)


def test_only_the_killed_worker_left_bars_after_its_last_checkpoint(continued: Continued) -> None:
    assert (continued.tail > 0) == continued.source.name.endswith("killed")


def test_stored_and_new_bars_are_those_of_one_reading_of_the_whole_topic(continued: Continued) -> None:
    assert len(continued.stored_finals) > 0
    for number, answer in enumerate(continued.answers()):
        assert answer.open_windows == 0
        published = [(seen.key, seen.value) for seen in continued.finals if seen.partition == number]
        assert published == [(bar.key(), bar.json()) for bar in answer.bars]


def test_stored_bars_stay_where_they_are(continued: Continued) -> None:
    places = {(seen.partition, seen.offset): seen for seen in continued.finals}
    assert [places[seen.partition, seen.offset] for seen in continued.stored_finals] == continued.stored_finals


def test_stored_windows_are_still_open_unless_silence_has_closed_them(continued: Continued) -> None:
    bars = [seen.bar for seen in continued.finals if seen.bar.bucket_start == OPEN_MINUTE]
    assert len({(bar.broker, bar.symbol) for bar in bars}) == len(bars) == len(BROKERS) * len(SYMBOLS)
    if continued.idle_close:
        assert continued.open_windows == 0
        assert {bar.close_reason for bar in bars} == {"idle"}
    else:
        assert continued.open_windows >= len(bars)
        assert {bar.close_reason for bar in bars} == {"watermark"}
        first_new = [sum(seen.partition == number for seen in continued.stored_ticks) for number in range(PARTITIONS)]
        partition = {(seen.bar.broker, seen.bar.symbol): seen.partition for seen in continued.finals}
        assert all(bar.first_offset < first_new[partition[bar.broker, bar.symbol]] <= bar.last_offset for bar in bars)


def test_stored_counters_are_carried_on(continued: Continued) -> None:
    names = ("read", "binned", "late", "rejected", "heartbeats")
    counts = {name: sum(answer.counts[name] for answer in continued.answers()) for name in names}
    assert {name: continued.total[name] for name in names} == counts
    assert counts["read"] == len(continued.ticks)
    assert min(counts.values()) > 0


@pytest.mark.parametrize("kind", ["late", "rejected"])
def test_every_late_and_rejected_record_is_in_its_topic_once(continued: Continued, kind: str) -> None:
    wanted = sorted(
        f"ticks|{number}|{offset}".encode()
        for number, answer in enumerate(continued.answers())
        for offset, what, _ in answer.side
        if what == kind
    )
    assert sorted(seen.key or b"" for seen in getattr(continued, kind)) == wanted


def test_the_stored_read_model_is_used_and_serves_stored_and_new_bars(continued: Continued) -> None:
    stored = (continued.source / "data" / "read-model").is_dir()
    assert "the read model is rebuilt" not in continued.worker.log()
    assert stored == continued.source.name.endswith("killed")
    published = {(seen.bar.broker, seen.bar.symbol, seen.bar.bucket_start) for seen in continued.finals}
    served = {(*name.split("/"), bar["bucket_start"]) for name, bars in continued.served.items() for bar in bars}
    assert served == published


@pytest.mark.parametrize("source", DIRECTORIES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_stored_migrations_are_known_as_applied_and_what_has_changed_since_is_swapped(source: Path, tmp_path: Path) -> None:
    """The stored `bar_5m` has a column that no real server accepts, and is replaced on request."""
    with copy_of(source, tmp_path) as worker:
        server = KsqlServer(worker.directory.parent)  # reads the stored ksqldb.json
        server.start()
        try:
            status = worker.run("migrate", "status", "--json", "--server", server.url)
            refused = worker.run("migrate", "apply", "--server", server.url)
            swapped = worker.run("migrate", "apply", "--force-new-name", "--server", server.url)
            again = worker.run("migrate", "apply", "--server", server.url)
        finally:
            server.kill()
    steps = json.loads(status.stdout)["steps"]
    assert len(steps) >= 6
    states = {step["name"]: step["state"] for step in steps}
    assert states.pop("BAR_5M") == "refused"
    assert set(states.values()) == {"done"}
    assert status.returncode == refused.returncode == 4, refused.stderr
    assert "`apply --force-new-name` builds the new one beside it" in refused.stderr
    assert swapped.returncode == 0, swapped.stderr
    assert "BAR_5M_V2 has 0 rows, BAR_5M 0" in swapped.stdout
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout
