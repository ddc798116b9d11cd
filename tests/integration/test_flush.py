"""Windows stay open at a stop, and close before they are due only where a user asks for it."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, now_ms, of, produce, read
from tests.support.worker import Worker

MINUTE = 60_000


def flushed(worker: Worker, *args: str, code: int = 0) -> dict[str, object]:
    """What the command says, for programs."""
    found = worker.run("flush", "--json", *args)
    assert found.returncode == code, found.stdout + found.stderr
    answer = json.loads(found.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("scope", ["broker", "symbol"])
def test_a_flush_closes_what_a_stopped_worker_left_open_and_only_the_brokers_it_is_asked_for(
    new_worker: NewWorker, scope: str
) -> None:
    # closed by itself three hours after its ticks came, by event time at a moment that has passed
    worker = new_worker(window_size="1h", grace="2h", scope=scope, topic_partitions="2").start()
    start = now_ms() // (60 * MINUTE) * 60 * MINUTE - 180 * MINUTE
    produce(worker.bootstrap, worker.ticks_topic, [Tick(start, "1", "A|x"), Tick(start + 1, "2", "A|y")], 0)
    produce(worker.bootstrap, worker.ticks_topic, [Tick(start, "3", "A|z"), Tick(start, "4", "B|x")], 1)
    worker.wait_read(4)
    worker.stop()
    assert read(worker.bootstrap, worker.finals_topic) == []
    assert flushed(worker)["windows"] == 4
    assert len(read(worker.bootstrap, worker.ticks_topic)) == 4  # shown, not done
    sent = flushed(worker, "A", "--yes")
    assert (sent["sent"], sent["windows"], sent["too_far_ahead"]) == (True, 3, 0)
    finals = read(worker.start().bootstrap, worker.finals_topic, 3)
    assert {(b.symbol, str(b.open), b.close_reason) for b in of(finals, "A")} == {
        ("x", "1", "watermark"),
        ("y", "2", "watermark"),
        ("z", "3", "watermark"),
    }
    assert worker.open_windows() == 1
    # the command reads the changelog, which the next checkpoint brings up to date
    worker.wait(lambda: flushed(worker)["windows"] == 1, "the checkpoint has one open window")
    assert flushed(worker, "--yes")["windows"] == 1  # under a running worker
    assert of(read(worker.bootstrap, worker.finals_topic, 4), "B")
    worker.wait_closed(4)
    worker.stop()
    assert flushed(worker, "--yes") == {"sent": True, "windows": 0, "too_far_ahead": 0, "scopes": []}


def test_windows_that_end_too_far_ahead_are_named_and_left_open(new_worker: NewWorker) -> None:
    worker = new_worker(window_size="1h", grace="2h", topic_partitions="1").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(now_ms(), "1", "A|x")])
    worker.wait_read(1)
    worker.stop()
    assert flushed(worker, "--yes", code=1) == {"sent": True, "windows": 0, "too_far_ahead": 1, "scopes": []}
    text = worker.run("flush").stdout
    assert "1 windows have not ended yet" in text
