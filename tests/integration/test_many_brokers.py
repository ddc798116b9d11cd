"""A partition with 25,000 brokers: its checkpoints fit the changelog, and the clock of each outlives a kill."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, produce, read
from tests.support.worker import Worker

T0 = 1_399_248_000_000
MINUTE = 60_000
BROKERS = 25_000
LONG = "x" * 90  # with it the names alone are more than twice the default max.message.bytes


def test_a_worker_of_many_brokers_goes_on_after_a_kill_and_what_was_late_stays_late(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", idle_close="off").start()
    names = [f"{LONG}{number:06}|EURUSD" for number in range(BROKERS)]
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0, name=name) for name in names])
    worker.wait(lambda: _partition(worker).get("checkpointed") == BROKERS, "a checkpoint holds all of it")
    row = _partition(worker)
    assert (len(row["stream_times"]), row["more_scopes"], row["open_windows"]) == (100, BROKERS - 100, BROKERS)
    assert len(json.dumps(worker.get("/api/v1/accounting"))) < 100_000
    worker.kill()
    worker.start()
    last = [names[0], names[-1]]
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 2 * MINUTE, name=name) for name in last])
    finals = read(worker.bootstrap, worker.finals_topic, 2)
    assert [seen.bar.broker for seen in finals] == [name.partition("|")[0] for name in last]
    worker.wait(lambda: _partition(worker).get("checkpointed") == BROKERS + 2, "a checkpoint holds the two")
    worker.kill()
    worker.start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 1, name=name) for name in last])
    worker.wait_read(BROKERS + 4)
    assert worker.total()["late"] == 2


def _partition(worker: Worker) -> dict[str, Any]:
    found = worker.get("/api/v1/partitions")
    return dict(found["partitions"][0]) if found and found["partitions"] else {}
