"""`app export`: the bars of a topic as Parquet files, which the next run continues."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.integration.conftest import NewWorker
from tests.integration.test_stored_state import _delete_before
from tests.support.ticks import Tick, produce, read

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from pyarrow import dataset

T0 = 1_399_248_000_000
STATE_ERROR = 4


def _offsets(directory: Path) -> list[int]:
    table = dataset.dataset(directory, format="parquet", partitioning="hive", exclude_invalid_files=True).to_table()
    found: list[int] = table.column("offset").to_pylist()
    return sorted(found)


def test_each_run_exports_the_bars_since_the_last_one_and_tells_of_those_that_were_deleted(
    pocket_worker: NewWorker, tmp_path: Path
) -> None:
    worker = pocket_worker(topic_partitions="1", idle_close="off").start()
    directory = tmp_path / "bars"
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + minute * 60_000 + 6_000) for minute in range(3)])
    read(worker.bootstrap, worker.finals_topic, 2)
    done = worker.run("export", str(directory), "--json")
    assert (done.returncode, json.loads(done.stdout)["bars"]) == (0, 2), done.stderr
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + minute * 60_000 + 6_000) for minute in (3, 4, 5)])
    read(worker.bootstrap, worker.finals_topic, 5)
    asyncio.run(_delete_before(worker.bootstrap, worker.finals_topic, 3))
    said = worker.run("export", str(directory))
    assert (said.returncode, "offsets 2 to 2 were deleted before they were exported" in said.stderr) == (STATE_ERROR, True)
    assert worker.run("export", str(directory), "--over-gaps").stdout == f"2 bars into 1 files in {directory}\n"
    assert _offsets(directory) == [0, 1, 3, 4]
    worker.stop()
