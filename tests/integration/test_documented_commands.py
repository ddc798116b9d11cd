"""The commands of the README and docs/ are typed into a shell, on the pocket broker; those that cannot be have a reason."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.pocket import process
from tests.support.documented import Command, commands
from tests.support.ports import free_port
from tests.support.ticks import Tick, create_topic, produce
from tests.support.worker import ROOT, Worker

START = 1_399_248_000_000  # 2014-05-05T00:00:00Z
DAY = 86_400_000
NEEDS_KSQLDB = "needs a ksqlDB server: tests/integration/migrations and tests/e2e have one"
NOT_RUN = {  # of a command, after the variables that are exported before it: why it is not run here
    r"make (demo|test|check|lint|format)": "installs, or runs all tests; continuous integration runs it",
    r"make bench|\.venv/bin/python -m benchmarks": "takes minutes; its options are parsed in tests/unit",
    r"\.venv/bin/python -m (tests\.chaos|pytest)": "takes minutes; its options are parsed in tests/unit",
    r"docker ": "needs Docker; tests/integration/test_deploy.py reads the files",
    r"kubectl ": "needs a cluster; tests/integration/test_deploy.py checks the manifests",
    r"sudo ": "needs root",
    r"export [^;]*$": "sets variables for the lines that follow, which are run with them",
    r".*broker\.example": "needs a broker with SASL; tests/integration/test_security.py has one",
    r"(export .*; )?app (migrate (?!plan|create).*|migrate|reconcile.*)$": NEEDS_KSQLDB,
    r"(export .*; )?app worker( --web-port 6067)?$": "runs until it is stopped; the other commands are run beside one",
    r"app demo": "takes half a minute; tests/integration/test_commands.py runs it",
    r"app broker$": "runs until it is stopped; the other commands use the one that the worker has started",
    r"app bars --follow": "runs until it is stopped; tests/integration/test_commands.py runs it",
    r"curl -sN ": "has no end",
    r"curl .*http://bars\.example": "is sent to another machine",
}
AFTER = r"app (backfill|broker --stop)"  # the worker must have been stopped
REFUSED = {"BARWHEEL_GRACE=banana app worker": 2}


def text_of(one: Command) -> str:
    words = " ".join(one.words)
    return words if one.program == "export" else "; ".join([*one.exports, words])


def reason(one: Command) -> str | None:
    if one.line in REFUSED:
        return None
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, text_of(one))), None)


RUN = [one for one in dict.fromkeys(commands()) if one.words and reason(one) is None]


def write_files(folder: Path) -> None:
    """The files that the commands name."""
    quotes = "1000,1.38710,1.38726\n2000,1.38690,1.38700\n61000,1.3870,1.4\n"
    later = START + 2 * DAY  # than those of the other files of this broker
    timed = "".join(f"{later + at},1.5,1.6\n" for at in range(3))
    with zipfile.ZipFile(folder / "eurusd.zip", "w") as packed:
        packed.writestr("eurusd.csv", quotes)
    with zipfile.ZipFile(folder / "BTCUSDT-aggTrades-2024-01-01.zip", "w") as packed:
        packed.writestr("BTCUSDT-aggTrades-2024-01-01.csv", "1,42283.58,0.1,1,1,1704067200000,True,True\n")
    (folder / "ticks.jsonl").write_text(f'{{"broker": "demo", "symbol": "X", "ts": {START}, "bid": 1.5, "ask": 1.6}}\n')
    (folder / "ticks.csv").write_text(
        f"broker,symbol,time,bid,ask,note\ndemo,X,{START + DAY},1.5,1.6,-\ndemo,X,no time,1.5,1.6,-\n"
    )
    trade = f'{{"time": {START}000000, "trade": {{"price": 1.5, "size": 2}}, "code": "X"}}\n'
    (folder / "trades.jsonl").write_text(trade)
    row = "2014.05.05\t02:00:00.123\t1.5\t1.6\t0\t0\t6\n"
    (folder / "mt5.csv").write_text("<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n" + row)
    (folder / "ticks.csv.gz").write_bytes(gzip.compress(timed.encode()))
    (folder / "plans").mkdir()
    (folder / ".config" / "fish" / "completions").mkdir(parents=True)
    (folder / "bin").mkdir()
    script = folder / "bin" / "app"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m app "$@"\n')
    script.chmod(0o755)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Worker]]:
    """A worker that runs, and one that has been stopped, each on a pocket broker of its own, with the symbols of the pages."""
    more = {"broker": "", "ticks_topic": "ticks", "topics_prefix": "", "frames": "1h", "late_policy": "correct"}
    made: dict[bool, Worker] = {}
    try:
        for runs in (True, False):
            port = free_port()
            folder = tmp_path_factory.mktemp("site")
            one = made[runs] = Worker(f"127.0.0.1:{port}", folder, pocket_port=str(port), **more).start()
            names = ("fxcm|EURUSD", "OANDA|EURUSD")
            ticks = [Tick(START + at * 10_000, f"1.3{at:02}", name) for at in range(20) for name in names]
            produce(one.bootstrap, one.ticks_topic, ticks)
            one.wait_checkpointed(len(ticks))
            create_topic(one.bootstrap, "market.trades", 1)
            produce(one.bootstrap, "market.trades", [Tick(START + at, "1.5", "A|x") for at in range(50)])
            write_files(folder)
            if not runs:
                one.stop()
        yield made
    finally:
        for one in made.values():
            one.end()
            process.stop(Path(one.settings["data_dir"]) / "pocket")


@pytest.mark.parametrize("one", RUN, ids=str)
def test_a_command_does_what_the_page_says(sites: dict[bool, Worker], one: Command) -> None:
    worker = sites[not re.match(AFTER, text_of(one))]
    host, _, port = worker.bootstrap.rpartition(":")
    process.ensure(Path(worker.settings["data_dir"]) / "pocket", host, int(port))  # without a worker it ends after a minute
    lines = "\n".join([*one.exports, one.line]).replace("host:9092", worker.bootstrap)
    lines = re.sub(r"(localhost|127\.0\.0\.1):6066", f"127.0.0.1:{worker.settings['web_port']}", lines)
    lines = lines.replace("curl -s ", "curl -s --fail-with-body ")
    environment = worker.environment() | {
        "PATH": f"{worker.directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(worker.directory),
    }
    if "BARWHEEL_PRICE=last" in lines:  # another app: that of the worker makes bars of `bid`
        environment |= {"BARWHEEL_APP_ID": "last", "BARWHEEL_TOPICS_PREFIX": "last-", "BARWHEEL_TICKS_TOPIC": "trades"}
    where = {"cwd": worker.directory, "env": environment}
    done = subprocess.run(["bash", "-c", lines], **where, capture_output=True, text=True, timeout=120, check=False)  # type: ignore[call-overload]
    assert done.returncode == REFUSED.get(one.line, 0), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_every_reason_for_not_running_a_command_is_that_of_one() -> None:
    texts = [text_of(one) for one in commands()]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, text) for text in texts)] == []
