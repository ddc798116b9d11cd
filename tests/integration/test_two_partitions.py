"""One symbol in two partitions makes two bars with one key: nothing hides one of them, and everything says so.

One partition had a tick before the worker's first start (start=latest), so its bars are partial, and say that as well.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser

from app.kafka.partitioner import partition_of
from tests.support.ticks import Tick, create_topic, heartbeat, produce, read
from tests.support.visits import WIDTHS, Visit, browser
from tests.support.web import ask, exact, listening
from tests.support.worker import Worker

__all__ = ["browser"]
START = 1_399_248_000_000
MINUTE = 60_000
NAME = "rd|TWO"
HERE = partition_of(NAME.encode(), 2)
THERE = 1 - HERE
PRICES = {HERE: "1", THERE: "9"}  # before the point; the minute is behind it
ELSE = next(name for name in (f"rd|E{number}" for number in range(99)) if partition_of(name.encode(), 2) == HERE)


@pytest.fixture(scope="module")
def worker(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Two windows of `NAME` are closed in each partition, and a third is open. `ELSE` lies in one, the wrong one."""
    made = Worker(pocket, tmp_path_factory.mktemp("two"), topic_partitions="2", start="latest", idle_close="off")
    create_topic(made.bootstrap, made.ticks_topic, 2, message_timestamp_type="LogAppendTime")
    produce(made.bootstrap, made.ticks_topic, [Tick(START, "7", NAME)], HERE)
    try:
        made.start()
        for partition, price in PRICES.items():
            ticks = [Tick(START + minute * MINUTE, f"{price}.{minute}", NAME) for minute in range(3)]
            produce(made.bootstrap, made.ticks_topic, [*ticks, heartbeat(START + 2 * MINUTE + 5_000, NAME)], partition)
        produce(made.bootstrap, made.ticks_topic, [Tick(START + 2 * MINUTE, "5", ELSE)], THERE)
        made.wait_read(9)
        made.wait(lambda: doubled(made) and doubled(made)["bars"] == 2, "the read model has seen the bars")
        yield made
    finally:
        made.end()


def doubled(worker: Worker) -> Any:
    return exact(ask(worker, "/api/v1/status"))["read_model"]["doubled"]


def test_both_bars_are_published_and_told_apart_by_the_commands(worker: Worker) -> None:
    finals = read(worker.bootstrap, worker.finals_topic, 4)
    assert len({record.key for record in finals}) == 2
    assert [bool(record.bar.partial) for record in finals] == [record.partition == HERE for record in finals]
    found = worker.run("bars", "--json")
    bars = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(str(bar["open"]), bar.get("partial")) for bar in bars] == [
        (f"{PRICES[partition]}.{minute}", True if partition == HERE else None) for minute in range(2) for partition in range(2)
    ]
    said = f"2 so far, and each lacks the ticks of the other; the newest are of rd TWO, start {START + MINUTE}"
    assert (found.returncode, said in found.stderr, "murmur2_random" in found.stderr) == (0, True, True)
    shown = worker.run("bars").stdout
    assert f"watermark, partial, partition {HERE}" in shown
    assert f"watermark, partition {THERE}" in shown
    rows = list(csv.DictReader(io.StringIO(worker.run("bars", "--csv").stdout)))
    assert {(row["open"], row["partial"], row["partition"]) for row in rows} == {
        *(("1.0", "true", str(HERE)), ("1.1", "true", str(HERE)), ("9.0", "", str(THERE)), ("9.1", "", str(THERE)))
    }


def test_doctor_finds_it_in_the_ticks_and_in_the_bars(worker: Worker) -> None:
    found = worker.run("doctor", "--json")
    wrong = [item for item in json.loads(found.stdout)["findings"] if item["level"] == "wrong"]
    assert found.returncode == 1
    assert [item["text"].split(":")[1].strip().split(",")[0] for item in wrong] == [
        "1 of 2 symbols live in two partitions",
        "two partitions published bars of the same windows",
    ]
    assert all("murmur2_random" in item["advice"] for item in wrong)


def test_the_api_shows_both_bars_and_both_windows_with_their_partitions(worker: Worker) -> None:
    page = exact(ask(worker, "/api/v1/bars/rd/TWO"))
    assert page["partitions"] == [0, 1]
    assert [(bar["bucket_start"], bar["partition"], bar["open"]) for bar in page["bars"]] == [
        (START + minute * MINUTE, partition, Decimal(f"{PRICES[partition]}.{minute}"))
        for minute in range(2)
        for partition in range(2)
    ]
    assert [(window["partition"], window["partial"]) for window in page["open"]] == [(n, n == HERE) for n in range(2)]
    parts, cursor = [], ""
    while True:
        part = exact(ask(worker, f"/api/v1/bars/rd/TWO?limit=1{cursor}"))
        parts += part["bars"]
        if part["next_cursor"] is None:
            break
        cursor = f"&cursor={part['next_cursor']}"
    assert parts[::-1] == page["bars"], "a page may end between the two"
    table = exact(ask(worker, "/api/v1/bars/rd/TWO?format=columns"))["bars"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [(row["partition"], row["partial"]) for row in rows] == [(n, n == HERE) for n in (0, 1, 0, 1)]
    found = exact(ask(worker, "/api/v1/symbols?prefix=TWO"))["symbols"]
    assert [(row["partition"], row["open"]) for row in found] == [(0, True), (1, True)]
    newest = exact(ask(worker, "/api/v1/bars?symbol=TWO"))["bars"]
    assert {(bar["bucket_start"], bar["partition"]) for bar in newest} == {
        (START + m * MINUTE, n) for m in range(2) for n in range(2)
    }
    open_windows = exact(ask(worker, "/api/v1/windows?broker=rd&symbol=TWO"))["windows"]
    assert [window["partition"] for window in open_windows] == [0, 1]


@pytest.mark.parametrize(("minute", "status"), [(1, "final"), (2, "open")])
def test_why_says_that_another_partition_has_the_window_too(worker: Worker, minute: int, status: str) -> None:
    path = f"/api/v1/why/rd/TWO/{START + minute * MINUTE}"
    first = exact(ask(worker, path))
    assert (first["status"], first["partition"], first["also_in"]) == (status, 0, [1])
    assert "Partition 1 has the same window, too" in first["sentence"]
    for partition, price in PRICES.items():
        answer = exact(ask(worker, f"{path}?partition={partition}"))
        shown = answer["bar"] or answer["window"]
        assert (answer["partition"], shown["open"]) == (partition, Decimal(f"{price}.{minute}"))
        assert ("It is partial" in answer["sentence"]) == shown["partial"] == (partition == HERE)


def test_metrics_and_log_tell_a_fault_from_another_partitioner(worker: Worker) -> None:
    metrics = ask(worker, "/metrics").text
    assert "barwheel_doubled_bars_count 2.0" in metrics
    assert f'barwheel_misplaced_symbols_total{{partition="{HERE}"}} 0.0' in metrics
    assert f'barwheel_misplaced_symbols_total{{partition="{THERE}"}} 2.0' in metrics
    log = worker.log()
    assert log.count("two partitions published bars of the same windows") == 1
    assert log.count("Kafka's default partitioner (murmur2) puts it into") == 1


def test_a_stream_has_the_windows_of_both_partitions(worker: Worker) -> None:
    with listening(worker, {"broker": "rd", "symbol": "TWO"}) as stream:
        stream.wait(lambda one: one.of("bars"), "the open windows")
        sent = {window["partition"] for event in stream.of("bars") for window in event.data["open"]}
    assert sent == {0, 1}


@pytest.mark.parametrize("width", list(WIDTHS))
def test_the_pages_show_both_bars_and_say_why_there_are_two(worker: Worker, browser: Browser, width: str) -> None:
    visit = Visit(browser, worker, width, "light")
    try:
        visit.open("/")
        visit.wait(lambda: "Two partitions published bars of the same windows, 2 so far" in visit.text("#doubled"), "the alarm")
        assert "2 symbols not where Kafka's default partitioner puts them" in visit.text("#misplaced")
        visit.open(f"/chart/rd/TWO?at={START}")
        visit.wait(lambda: f"final, partial, partition {HERE}" in visit.text("#legend"), "the legend has one")
        assert f"final, partition {THERE}" in visit.text("#legend")
        assert "Partitions 0 and 1 make bars of this symbol" in visit.text("#shared")
        assert visit.page.locator("#bars tr").count() == 6
        visit.wait(lambda: "Partition 1 has the same window, too" in visit.text("#why"), "the reason")
        visit.open("/live")
        visit.wait(lambda: visit.page.locator("#rows tr").count() == 4, "each bar has a row")
        assert visit.text("#rows").count(f"partial, partition {HERE}") == 2
        visit.open("/symbols")
        visit.wait(lambda: "1 symbol in two partitions" in visit.text("#state"), "it is said beside the symbols")
        assert not visit.wrong
    finally:
        visit.close()
