"""Late ticks revise bars, and closed minutes make longer bars, through a crash between a late tick and its revision."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise
from typing import Any

from tests.integration.conftest import NewWorker
from tests.support.ticks import Seen, Tick, produce, read
from tests.support.worker import Worker

T0 = 1_399_248_000_000
MINUTE = 60_000


def told(worker: Worker, name: str, enough: int = 0) -> list[Seen]:
    """The committed records of a topic of bars, when there are enough: a bar is sent after the tick that closed it was read."""
    return read(worker.bootstrap, f"{worker.settings['topics_prefix']}bar_{name}", enough)


def commands_tell(worker: Worker) -> None:
    """`app bars` shows the newest revisions, what each changed, and longer bars whether they are kept or not."""

    def bars(*args: str) -> list[dict[str, Any]]:
        found = worker.run("bars", *args, "--json")
        assert found.returncode == 0, found.stderr
        return [json.loads(line) for line in found.stdout.splitlines()]

    # the third minute is open: its bar is not there
    assert [(bar["revision"], bar["close"]) for bar in bars()] == [(2, 2.6), (0, 1.6)]
    history = bars("--revisions", "--to", str(T0 + 1))  # compaction may have removed revision 1
    assert [bar["revision"] for bar in history] in ([0, 1, 2], [0, 2])
    for before, after in pairwise(history):
        differing = {name for name in ("revision", "high", "close", "ticks", "last_ts") if before[name] != after[name]}
        assert after["before"] == {name: before[name] for name in differing}
    kept, folded = bars("--frame", "2m"), bars("--frame", "2m", "--last", "1")
    assert [(bar["revision"], bar["ticks"], bar["high"]) for bar in kept] == [(1, 4, 2.6)]
    assert kept == folded
    worker.settings["frames"] = ""  # now it is folded
    folded = bars("--frame", "2m")
    same = ("bucket_start", "bucket_end", "open", "high", "low", "close", "ticks", "first_ts", "last_ts", "last_offset")
    assert [[bar[name] for name in same] for bar in folded] == [[bar[name] for name in same] for bar in kept]
    assert folded[0]["close_reason"] == "folded"
    assert bars("--frame", "5m") == [], "that window has not ended"
    worker.settings["frames"] = "2m"
    shown = " ".join(worker.run("bars", "--revisions").stdout.replace("│", " ").split())  # as one line
    assert "correction, revision 2, " in shown
    assert " -> 2.6, ticks " in shown
    rows = list(csv.DictReader(io.StringIO(worker.run("bars", "--revisions", "--csv").stdout)))
    assert [(row["revision"], row["corrected"]) for row in rows if row["revision"] != "1"] == [("0", ""), ("2", "1"), ("0", "")]

    for options, topic in ((["--revisions"], "bar_1m_corrections"), (["--frame", "2m"], "bar_2m_final")):
        ended = worker.run("export", topic, *options, "--json")
        assert (ended.returncode, json.loads(ended.stdout)["bars"] > 0) == (0, True), ended.stderr


def test_a_late_tick_revises_its_bars_once_though_the_worker_was_killed_before_the_revision(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1", late_policy="correct", correction_delay="3s", frames="2m").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 1_000, "1.5"), Tick(T0 + MINUTE + 10_000, "1.6")])
    worker.wait_read(2)
    (final,) = told(worker, "1m_final", 1)
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 2_000, "2.5")])
    worker.wait_checkpointed(3)
    worker.kill()
    worker.start()
    worker.wait(lambda: bool(told(worker, "1m_corrections")), "the bar has been revised")
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 2 * MINUTE + 10_000, "1.7"), Tick(T0 + 3_000, "2.6")])
    worker.wait(lambda: bool(told(worker, "2m_corrections")), "the longer bar has been revised")
    worker.wait_checkpointed(5)

    assert told(worker, "1m_final")[0].content == final.content, "a final never changes"
    first, second = (seen.bar for seen in told(worker, "1m_corrections"))
    assert (first.revision, first.corrected, first.ticks, str(first.close)) == (1, 1, 2, "2.5")
    assert (second.revision, second.corrected, second.ticks, str(second.close)) == (2, 1, 3, "2.6")
    assert {first.close_reason, second.close_reason} == {"correction"}
    (longer,), (revised,) = told(worker, "2m_final"), told(worker, "2m_corrections")
    assert (longer.bar.bucket_start, longer.bar.bucket_end) == (T0, T0 + 2 * MINUTE)
    assert (longer.bar.ticks, str(longer.bar.high), longer.bar.revision) == (3, "2.5", 0)
    assert (revised.bar.ticks, str(revised.bar.high), revised.bar.revision) == (4, "2.6", 1)
    assert longer.headers["frame"] == revised.headers["frame"] == b"2m"
    total = worker.total()
    assert (total["read"], total["binned"], total["corrected"], total["late"]) == (5, 3, 2, 0)
    text = worker.text("/metrics")
    assert 'barwheel_corrected_ticks_total{partition="0"} 2.0' in text
    assert 'barwheel_corrections_emitted_total{frame="2m"} 1.0' in text
    assert 'barwheel_longer_bars_emitted_total{frame="2m"} 1.0' in text
    commands_tell(worker)
    worker.stop()
    for command in ("doctor", "flush"):  # they recover what the worker left
        ended = worker.run(command)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_windows_without_a_tick_have_flat_bars_which_commands_and_the_api_show(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(
        topic_partitions="1", late_policy="correct", frames="2m", empty="flat", empty_frames="base,2m", correction_delay="0s"
    ).start()
    ticks = [Tick(T0 + 1_000, "1.5"), Tick(T0 + 4 * MINUTE + 10_000, "2.5", name="A|y")]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    worker.wait_read(2)
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + MINUTE + 1_000, "1.7")])
    worker.wait(lambda: bool(told(worker, "1m_corrections")), "the flat bar has been revised")
    worker.wait(lambda: len(told(worker, "2m_final")) == 2, "the longer bars are there")
    worker.wait_checkpointed(3)

    bars = [seen.bar for seen in told(worker, "1m_final") if seen.bar.symbol == "x"]
    assert [((bar.bucket_start - T0) // MINUTE, str(bar.close), bar.ticks) for bar in bars] == [
        *((0, "1.5", 1), (1, "1.5", 0), (2, "1.5", 0), (3, "1.5", 0)),
    ]
    (revised,) = told(worker, "1m_corrections")
    assert (revised.bar.bucket_start, revised.bar.revision, revised.bar.ticks) == (T0 + MINUTE, 1, 1)
    assert [(seen.bar.bucket_start - T0, seen.bar.ticks) for seen in told(worker, "2m_final")] == [(0, 1), (2 * MINUTE, 0)]

    def explained() -> bool:
        why = worker.get(f"/api/v1/why/A/x/{T0 + 2 * MINUTE}")
        return why is not None and "repeats the price of the tick at offset 0" in why["sentence"]

    worker.wait(explained, "the read model has the flat bar")
    for command in (("bars", "--json"), ("export", "files")):
        ended = worker.run(*command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        if command[0] == "bars":
            assert sum(not json.loads(line)["ticks"] for line in ended.stdout.splitlines()) == 2, "one was revised"
