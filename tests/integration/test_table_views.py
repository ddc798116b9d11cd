"""The open windows and the history of migrations as Faust shows them: `app tables`, and `app.tables[...]` in the worker."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.ticks import Tick, produce
from tests.support.waiting import until_sync
from tests.support.web import ask, exact
from tests.support.worker import Worker

T0 = 1_399_248_000_000
PROGRAM = """
from aiohttp import web
import json
import app as package
from app.cli import main

app = package.app

async def tables(request):
    shown = {name: {str(key): table[key] for key in table} for name, table in app.tables.items()}
    return web.json_response(shown, dumps=lambda found: json.dumps(found, default=str))

app.web.web_app.add_routes([web.get("/tables", tables)])
main(["worker", "-l", "info"])
"""


class Showing(Worker):
    """A worker that answers `/tables` with what `app.tables` holds."""

    def spawn(self) -> Showing:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                cwd=self.directory,
                env=self.environment(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        Worker.started.append(self)
        return self


@pytest.mark.parametrize("scope", ["broker", "symbol", "partition"])
def test_the_tables_in_a_worker_and_the_api_show_the_same_open_windows(pocket: str, tmp_path: Path, scope: str) -> None:
    worker = Showing(pocket, tmp_path, idle_close="off", scope=scope).start()
    try:
        ticks = [Tick(T0 + n * 1_000, f"1.{n + 1}", key) for n, key in enumerate(["A|x", "A|y", "B|x", "A|x"])]
        produce(
            worker.bootstrap, worker.ticks_topic, [*ticks, Tick(T0 + 60_500, "2.5", "A|x")]
        )  # within the grace: two are open

        def shown() -> Any:
            tables = ask(worker, "/tables").json()
            return tables if len(tables["windows"]) == 4 else None

        tables = until_sync(shown, what="all windows are open")
        rows = exact(ask(worker, "/api/v1/windows"))["windows"]
        by_key = {f"{row['broker']}|{row['symbol']}|{row['bucket_start']}": row for row in rows}
        assert by_key.keys() == tables["windows"].keys()
        for key, bar in tables["windows"].items():
            for name in ("open", "high", "low", "close"):
                assert Decimal(bar[name]) == Decimal(str(by_key[key][name])), (key, name)
            for name in ("bucket_end", "ticks", "first_ts", "last_ts"):
                assert bar[name] == by_key[key][name], (key, name)
        scopes = {"broker": {"A", "B"}, "symbol": {"A|x", "A|y", "B|x"}, "partition": {"*"}}[scope]
        assert set(tables["stream_times"]) == scopes
        assert max(tables["stream_times"].values()) == T0 + 60_500
        assert tables["migrations"] == {}
        log = worker.log()
        assert log.index("ready: partitions") < log.index("Resuming flow"), (
            "nothing may be fetched before the tasks are recovered"
        )
    finally:
        worker.stop()


def test_fausts_own_command_lists_the_tables_with_their_help(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "--json", "tables"],
        cwd=tmp_path,
        env=Worker("127.0.0.1:1", tmp_path).environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {table["name"]: table["help"] for table in json.loads(found.stdout)}
    assert set(listed) == {"windows", "stream_times", "migrations"}
    assert all("Missing description" not in text for text in listed.values())
