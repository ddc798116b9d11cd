"""`app backfill`: late ticks and lost bars are found, and revised once; a worker goes on from what was revised."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import BrokerError
from app.kafka.cluster import Cluster
from app.kafka.producer_pool import ProducerPool
from app.operations.backfill import run
from app.operations.backfill.copies import Copies
from app.operations.backfill.ticks import Stretch
from app.settings import Settings
from tables.emission import Closed
from tests.integration.conftest import NewWorker
from tests.support.ticks import Seen, Tick, produce, read
from tests.support.worker import Worker

T0 = 1_399_248_000_000
MINUTE = 60_000
STRETCH = ("--since", "2014-05-05T00:00:00Z", "--until", "2014-05-05T00:10:00Z")


def told(worker: Worker, name: str) -> list[Seen]:
    """The committed records of a topic of bars."""
    return read(worker.bootstrap, f"{worker.settings['topics_prefix']}bar_{name}")


def backfill(worker: Worker, *options: str, code: int) -> dict[str, Any]:
    ended = worker.run("backfill", *options, *STRETCH, "--json")
    assert ended.returncode == code, ended.stdout + ended.stderr
    return dict(json.loads(ended.stdout))


def shown(found: dict[str, Any]) -> list[tuple[object, ...]]:
    """Frame, minute, kind, ticks before and after, and the revision of each difference."""
    return [
        (
            one["frame"],
            (one["bucket_start"] - T0) // MINUTE,
            one["kind"],
            *(side and side["ticks"] for side in (one["published"], one["computed"])),
            one["revision"],
        )
        for one in found["differences"]
    ]


def test_late_ticks_that_were_dropped_are_found_and_revised_once(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="2", frames="2m").start()
    prefix = f"{worker.settings['topics_prefix']}again-"
    ticks = [Tick(T0 + 1_000, "1.5"), Tick(T0 + 3 * MINUTE + 10_000, "1.6"), Tick(T0 + 5 * MINUTE, "1.7")]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    worker.wait_read(3)
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 2_000, "2.5"), Tick(T0 + MINUTE + 2_000, "2.6")])
    worker.wait_checkpointed(5)

    found = backfill(worker, "--into", prefix, code=1)
    late = [("", 0, "changed", 1, 2, 1), ("2m", 0, "changed", 1, 3, 1), ("", 1, "missing", None, 1, 1)]
    assert sorted(shown(found)) == sorted(late)
    assert (found["applied"], found["revised"]) == (False, 0)
    copies = [seen.bar for seen in read(worker.bootstrap, f"{prefix}bar_1m_final")]
    assert [(bar.bucket_start - T0, bar.ticks, str(bar.high)) for bar in copies[:2]] == [(0, 2, "2.5"), (MINUTE, 1, "2.6")]
    again = worker.run("backfill", "--into", prefix, *STRETCH)
    assert (again.returncode, "bar_1m_final has bars already" in again.stderr) == (2, True), again.stderr
    refused = worker.run("backfill", *STRETCH, "--apply")
    assert refused.returncode == 4, refused.stderr
    assert "has 1 running workers: stop them before --apply" in refused.stderr
    worker.stop()

    found = backfill(worker, "--apply", code=0)
    assert (sorted(shown(found)), found["revised"]) == (sorted(late), 3)
    first, second = (seen.bar for seen in told(worker, "1m_corrections"))
    assert (first.bucket_start, first.revision, first.ticks, str(first.high), first.corrected) == (T0, 1, 2, "2.5", 1)
    assert (second.bucket_start, second.revision, second.ticks, second.close_reason) == (T0 + MINUTE, 1, 1, "correction")
    assert backfill(worker, code=0)["differences"] == []
    assert backfill(worker, "--apply", code=0)["revised"] == 0
    assert len(told(worker, "1m_corrections")) == 2
    worker.start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 8 * MINUTE, "1.8")])
    worker.wait_checkpointed(6)
    worker.stop()


async def test_a_worker_that_starts_while_a_backfill_reads_fences_it(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1").start()
    ticks = [Tick(T0 + 1_000, "1.5"), Tick(T0 + 3 * MINUTE, "1.6"), Tick(T0 + 2_000, "2.5")]
    await asyncio.to_thread(produce, worker.bootstrap, worker.ticks_topic, ticks)
    await asyncio.to_thread(worker.wait_checkpointed, 3)
    worker.stop()
    names = {name: worker.settings[name] for name in ("app_id", "ticks_topic", "topics_prefix")}
    settings, cluster = Settings.load(broker=f"kafka://{worker.bootstrap}", **names), Cluster(worker.bootstrap)
    starting = ProducerPool(settings)

    class FencedBy(Copies):
        """The worker starts when all has been read."""

        async def send(self, partition: int, steps: list[Closed]) -> None:  # noqa: ARG002 - as it is called
            await starting.start(cluster, [partition], max_request=1 << 20)

    stretch = Stretch(T0, T0 + 10 * MINUTE, 86_400_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Copies", FencedBy)
        with pytest.raises(BrokerError, match="the backfill failed"):
            await run.backfill(settings, cluster, stretch, None, apply=True, into="", show=lambda *_: None)
    await starting.stop()
    assert await asyncio.to_thread(read, worker.bootstrap, settings.corrections_topic_of("")) == []
    outcome = await run.backfill(settings, cluster, stretch, None, apply=True, into="", show=lambda *_: None)
    assert outcome.revised == 1


def test_a_worker_revises_on_from_what_was_backfilled_from_a_file(pocket_worker: NewWorker, tmp_path: Path) -> None:
    worker = pocket_worker(topic_partitions="1", late_policy="correct", correction_delay="0s", correction_horizon="30m").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 1_000, "1.5"), Tick(T0 + 3 * MINUTE, "1.6")])
    worker.wait_checkpointed(2)
    worker.stop()
    file = tmp_path / "ticks.csv"
    file.write_text(f"{T0 + 1_000},1.5,1.5\n{T0 + 5_000},1.9,1.9\n{T0 + MINUTE},1.2,1.2\n{T0 + 3 * MINUTE},1.6,1.6\n")
    named = (str(file), "--broker-name", "A", "--symbol", "x")
    found = backfill(worker, *named, code=1)
    assert shown(found) == [("", 0, "changed", 1, 2, 1), ("", 1, "missing", None, 1, 1)]
    backfill(worker, *named, "--apply", code=0)
    assert backfill(worker, *named, code=0)["differences"] == []

    worker.start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 9_000, "1.1")])
    worker.wait(lambda: len(told(worker, "1m_corrections")) == 3, "the late tick has revised the bar again")
    worker.stop()
    last = told(worker, "1m_corrections")[-1].bar
    assert (last.revision, last.ticks, str(last.high), str(last.low), str(last.close)) == (2, 3, "1.9", "1.1", "1.1")
