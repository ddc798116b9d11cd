"""One partition without a leader: the others are at work, it is waited for, shown, and read once it has a leader again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leaderless import LeaderlessBroker, leaderless_broker
from tests.support.ticks import Tick, heartbeat, produce, read
from tests.support.web import ask
from tests.support.worker import Worker

T0 = 1_399_248_000_000
END = T0 + 66_000  # closes the window of T0
# The same worker with a shorter deadline for the last checkpoint.
IMPATIENT = """
from app.cli import main
from app.driver.consumer import Consumer
Consumer.last_checkpoint_seconds = 1.0
main(["worker", "-l", "info"])
"""


class Impatient(Worker):
    """A worker that gives up its last checkpoint after a second."""

    def spawn(self) -> Impatient:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IMPATIENT],
                cwd=self.directory,
                env=self.environment(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        return self


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LeaderlessBroker]:
    with leaderless_broker(tmp_path / "broker") as made:
        yield made


@pytest.fixture
def worker(broker: LeaderlessBroker, tmp_path: Path) -> Iterator[Worker]:
    made = Impatient(broker.bootstrap, tmp_path / "worker")
    yield made
    made.end()


def held_up(worker: Worker) -> dict[str, str]:
    return dict((worker.get("/readyz") or {}).get("held_up", {}))


def running(worker: Worker) -> set[int]:
    rows = (worker.get("/api/v1/partitions?local=true") or {"partitions": []})["partitions"]
    return {row["partition"] for row in rows if row["me"] and row["state"] == "running"}


def shown(worker: Worker, number: int) -> str:
    """Why a partition is waited for, as the page shows it; empty where it is not."""
    rows = (worker.get("/api/v1/partitions") or {"partitions": []})["partitions"]
    return next((row["held_up"] or "" for row in rows if row["partition"] == number and row["state"] == "waiting"), "")


def bars(worker: Worker) -> list[tuple[int, int]]:
    """The bars that were published: partition and number of ticks."""
    return sorted((seen.partition, seen.bar.ticks) for seen in read(worker.bootstrap, worker.finals_topic))


def send(worker: Worker, number: int, *rows: int) -> None:
    """Ticks of a symbol of this partition, the last of them a heartbeat that closes the window of T0."""
    name = f"A|{number}"
    ticks = [heartbeat(ts, name) if ts == END else Tick(ts, name=name) for ts in rows]
    produce(worker.bootstrap, worker.ticks_topic, ticks, partition=number)


def test_a_partition_without_a_leader_does_not_hold_the_others(broker: LeaderlessBroker, worker: Worker) -> None:
    worker.settings["topic_partitions"] = "5"
    worker.start().stop()  # the topics exist, and every partition has a position
    for number in range(5):
        send(worker, number, T0, T0 + 1_000, END)
    topics = {1: worker.ticks_topic, 2: worker.finals_topic, 3: worker.changelog_topic, 4: worker.late_topic}
    broker.without_leader = {(topic, number) for number, topic in topics.items()}
    worker.start()
    why = held_up(worker)
    for number, topic in topics.items():
        assert why.pop(str(number)).endswith(f"{topic}[{number}] has no leader")
    assert why == {}
    worker.wait_closed(3)
    assert running(worker) == {0}
    assert worker.total()["read"] == 3, "a partition that is not recovered is not read"
    assert shown(worker, 1) == held_up(worker)["1"]
    assert "barwheel_partitions_held_up_count 4.0" in ask(worker, "/metrics").text
    broker.without_leader = {(worker.finals_topic, 2)}
    worker.wait(lambda: running(worker) == {0, 1, 3, 4}, "those with a leader are at work")
    assert list(held_up(worker)) == ["2"]
    broker.without_leader = set()
    worker.wait(lambda: bars(worker) == [(number, 2) for number in range(5)], "their bars come, and no bar comes twice")
    assert held_up(worker) == {}
    worker.stop()
    assert worker.log().count("partition 1 is held up") == 1


def test_revocation_and_recovery_go_on_without_a_partition_that_loses_its_leader(
    broker: LeaderlessBroker, worker: Worker, tmp_path: Path
) -> None:
    worker.settings |= {"checkpoint_interval": "1h", "topic_partitions": "3"}  # the next checkpoint is the last one
    worker.start()
    for number in range(3):
        send(worker, number, T0)
    worker.wait_read(3)
    broker.without_leader = {(worker.changelog_topic, 1)}
    names = {name: worker.settings[name] for name in ("app_id", "ticks_topic", "topics_prefix", "topic_partitions")}
    second = Impatient(worker.bootstrap, tmp_path / "second", **names)
    second.spawn()
    try:
        second.wait(lambda: running(worker) | running(second) == {0, 2}, "both have taken what they can")
        assert "no last checkpoint within 1 s: the partitions are released without it" in worker.log()
        second.wait(lambda: shown(second, 1).endswith("has no leader"), "the third is shown, whoever has it")
        broker.without_leader = set()
        second.wait(lambda: running(worker) | running(second) == {0, 1, 2}, "all are at work")
        for number in range(3):
            send(worker, number, T0 + 1_000, END)
        worker.wait(lambda: bars(worker) == [(0, 2), (1, 2), (2, 2)], "every tick is in its bar")
        worker.stop()
        second.stop()
        assert bars(worker) == [(0, 2), (1, 2), (2, 2)]
    finally:
        second.end()
