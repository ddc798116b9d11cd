"""The input becomes another log, under a running worker or between two starts: its records do not go into old bars."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from app.pocket.batch import read_header
from tests.conformance.pocket_process import PocketProcess
from tests.integration.conftest import NewWorker
from tests.integration.test_stored_state import _last_words, _make_anew
from tests.support.ticks import Tick, produce
from tests.support.worker import Worker

T0 = 1_399_248_000_000
STATE_ERROR = 4


def ticks(count: int, begin: int = T0) -> list[Tick]:
    return [Tick(begin + number * 1_000) for number in range(count)]


def check_stopped(worker: Worker, said: str) -> None:
    """The running worker ends with this line."""
    assert worker.process is not None
    assert worker.process.wait(60) == STATE_ERROR
    worker.process = None
    assert said in worker.log().splitlines()[-1], worker.tail()
    assert "Traceback" not in worker.log()


def test_an_input_made_anew_and_longer_under_the_worker_stops_it_before_a_bar_has_its_ticks(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", idle_close="off", on_gap="continue").start()
    produce(worker.bootstrap, worker.ticks_topic, ticks(5))
    worker.wait_checkpointed(5)
    asyncio.run(_make_anew(worker.bootstrap, worker.ticks_topic))
    produce(worker.bootstrap, worker.ticks_topic, ticks(40, T0 + 3_600_000))
    worker.wait_log("was created again: its topic id is")
    worker.wait(lambda: worker.total().get("read", 0) >= 45, "it has read all of the new topic")
    assert worker.total()["read"] == 45, "none of them twice"
    worker.stop()


def test_the_same_with_the_default_stops_the_worker(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", idle_close="off").start()
    produce(worker.bootstrap, worker.ticks_topic, ticks(5))
    worker.wait_checkpointed(5)
    asyncio.run(_make_anew(worker.bootstrap, worker.ticks_topic))
    produce(worker.bootstrap, worker.ticks_topic, ticks(40, T0 + 3_600_000))
    check_stopped(worker, f"{worker.ticks_topic}[0] was created again: its topic id is")


def lose(pocket: PocketProcess, topic: str, left: int) -> None:
    """The broker is killed, and comes back with so many batches of a topic's log, as after a power failure."""
    pocket.kill()
    [path] = pocket.directory.glob(f"{topic}-*-0.log")
    raw, size = path.read_bytes(), 0
    for _ in range(left):
        size += read_header(raw, size).size
    os.truncate(path, size)
    pocket.start()


def test_an_input_that_lost_records_and_grew_again_stops_the_worker_and_the_next_start(
    own_pocket: PocketProcess, tmp_path: Path
) -> None:
    worker = Worker(own_pocket.bootstrap, tmp_path / "worker", topic_partitions="1", idle_close="off")
    try:
        worker.start()
        for tick in ticks(5):
            produce(worker.bootstrap, worker.ticks_topic, [tick])
        worker.wait_checkpointed(5)
        lose(own_pocket, worker.ticks_topic, 3)
        produce(worker.bootstrap, worker.ticks_topic, ticks(9, T0 + 10_000))
        said = f"{worker.ticks_topic}[0]: leader epoch 0 ends at offset 3, before"
        check_stopped(worker, said)
        assert said in _last_words(worker)
        worker.end()
        worker.settings["on_gap"] = "continue"
        worker.start()
        worker.wait_read(5 + 9)
        assert worker.total()["lost"] == 2
        worker.stop()
        worker.settings["on_gap"] = "stop"
        worker.start()  # what it went on from is known now
        worker.stop()
    finally:
        worker.end()


def test_another_leader_that_has_every_record_stops_nothing(own_pocket: PocketProcess, tmp_path: Path) -> None:
    worker = Worker(own_pocket.bootstrap, tmp_path / "worker", topic_partitions="1", idle_close="off")
    try:
        worker.start()
        produce(worker.bootstrap, worker.ticks_topic, ticks(4))
        worker.wait_checkpointed(4)
        own_pocket.kill()
        own_pocket.start()
        produce(worker.bootstrap, worker.ticks_topic, ticks(1, T0 + 20_000))
        worker.wait_read(5)
        worker.stop()
        assert "truncated" not in worker.log()
    finally:
        worker.end()
