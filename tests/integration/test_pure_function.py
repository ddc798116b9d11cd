"""The bars are a pure function of the topic: what a live run published, a second reading of the topic gives again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import NewWorker
from tests.support.ticks import Seen, Tick, heartbeat, now_ms, of, produce, read
from tests.support.worker import Worker

SIZE = 1_000
AHEAD = 4_000  # above the grace; each round waits until such a window has closed


def contents(worker: Worker) -> list[object]:
    """Key, timestamp and value of every final, evidence and order included."""
    return [seen.content for seen in read(worker.bootstrap, worker.finals_topic)]


def side(worker: Worker, topic: str) -> list[object]:
    """What the side topics say, but for the app's own name and the time of writing."""

    def without_app(seen: Seen) -> object:
        headers = sorted((name, value) for name, value in seen.headers.items() if name != "app_id")
        return seen.partition, seen.key, seen.value, headers

    return [without_app(seen) for seen in read(worker.bootstrap, topic)]


def live_market(worker: Worker, rounds: int) -> int:
    """Bursts and silences: each round waits until the last one closed by idling; gives the number of records sent."""
    sent = 0
    for number in range(rounds):
        now = now_ms()
        start = now // SIZE * SIZE
        for partition in (0, 1):
            name = f"M{partition}"
            ticks = [
                Tick(start + 37 * step, f"1.{step}{number}", f"{name}|s{step % 3}", f', "qty": {step}') for step in range(12)
            ]
            ticks += [
                Tick(start - 400, "0.9", f"{name}|s0"),
                Tick(start - 60_000, "0.8", f"{name}|s1"),
                heartbeat(start + 500, f"{name}|s9"),  # closes the window before
            ]
            ticks += [
                Tick(start + 10, "1", f"ahead{partition}|x"),
                Tick(now + AHEAD, "2", f"ahead{partition}|x"),
            ]
            ticks += [Tick(key=f"{name}|s0".encode(), value=b"broken")]
            sent += len(produce(worker.bootstrap, worker.ticks_topic, ticks, partition))
        worker.wait_closed(sent)
    return sent


@pytest.mark.parametrize("idle_close", ["on", "marker"])
def test_a_second_reading_under_another_app_id_gives_the_same_bytes(
    new_worker: NewWorker, tmp_path: Path, idle_close: str
) -> None:
    live = new_worker(window_size="1s", grace="500ms", wheel_tick="100ms", idle_close=idle_close).start()
    rounds = 3 if idle_close == "on" else 2
    sent = live_market(live, rounds)
    read_again = live.total()["read"]
    live.stop()
    assert (read_again > sent) is (idle_close == "marker")
    again = live.beside(tmp_path / "again", wheel_tick="500ms", idle_close="on")
    try:
        again.start().wait_closed(read_again)
        total = again.total()
        again.stop()
    finally:
        again.end()
    finals = read(live.bootstrap, live.finals_topic)
    assert {seen.bar.close_reason for seen in finals} == {"idle", "watermark"}
    assert of(finals, "M0")
    assert of(finals, "ahead1")
    assert contents(again) == contents(live)
    assert side(again, again.late_topic) == side(live, live.late_topic)
    assert side(again, again.rejected_topic) == side(live, live.rejected_topic)
    assert len(side(live, live.late_topic)) == total["late"] > 0
    assert len(side(live, live.rejected_topic)) == total["rejected"] == 2 * rounds
