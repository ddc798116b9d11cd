"""The JSON API of real workers: every endpoint, the OpenAPI document, event streams, and windows of another worker."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.integration.test_rebalance import beside, wait_held
from tests.support.ticks import Tick, heartbeat, produce
from tests.support.web import address, ask, exact, listening
from tests.support.worker import Worker

START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
NAMES = ("fx|EURUSD", "fx|A/B c", "cme|6E")
EXAMPLES = 25  # of each operation


@pytest.fixture(scope="module")
def worker(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with three final bars and an open window for each symbol, one late tick and two rejected records."""
    made = Worker(pocket, tmp_path_factory.mktemp("api"))
    try:
        made.start()
        ticks = [
            Tick(START + i * 1_000, bid=f"1.{1_000 + i}0", name=name, more=', "qty": 2') for i in range(200) for name in NAMES
        ]
        produce(made.bootstrap, made.ticks_topic, ticks)
        bad = [Tick(START + 5, name=NAMES[0]), Tick(value=b"nix", key=b"fx|EURUSD"), Tick(value=b"", key=b"nobody")]
        produce(made.bootstrap, made.ticks_topic, bad)
        made.wait_read(603)
        made.wait(lambda: len(exact(ask(made, bars_path("fx", "EURUSD")))["bars"]) == 3, "the bars can be asked for")
        made.wait(lambda: len(exact(ask(made, "/api/v1/rejected"))["records"]) == 2, "the rejected records can be asked for")
        yield made
    finally:
        made.end()


def bars_path(broker: str, symbol: str, query: str = "") -> str:
    return f"/api/v1/bars/{quote(broker, safe='')}/{quote(symbol, safe='')}{query}"


def why_path(broker: str, symbol: str, start: int) -> str:
    return f"/api/v1/why/{quote(broker, safe='')}/{quote(symbol, safe='')}/{start}"


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    return found


# ---- responses


def test_the_bars_of_a_symbol_are_those_of_the_topic_to_the_digit_and_its_open_window_is_beside_them(worker: Worker) -> None:
    found = exact(ask(worker, bars_path("fx", "EURUSD")))
    assert [bar["bucket_start"] for bar in found["bars"]] == [START, START + MINUTE, START + 2 * MINUTE]
    first = found["bars"][0]
    assert (str(first["open"]), str(first["high"]), str(first["close"])) == ("1.10000", "1.10590", "1.10590")
    assert (first["volume"], first["ticks"], first["close_reason"]) == (120, 60, "watermark")
    assert found["complete"] is True
    assert found["none_kept"] is False
    assert found["away"] == []
    (opened,) = found["open"]
    assert (opened["bucket_start"], opened["ticks"], opened["closes_at_stream_time"]) == (
        START + 3 * MINUTE,
        20,
        START + 4 * MINUTE + 5_000,
    )
    assert opened["idle_due"] > opened["opened_at"]


def test_a_symbol_with_a_slash_and_a_space_in_its_name_has_bars_too(worker: Worker) -> None:
    assert len(exact(ask(worker, bars_path("fx", "A/B c")))["bars"]) == 3


def test_the_cursor_leads_from_the_newest_bars_to_the_oldest_without_a_gap(worker: Worker) -> None:
    starts: list[int] = []
    query = "?limit=2"
    while True:
        found = exact(ask(worker, bars_path("fx", "EURUSD", query)))
        starts = [bar["bucket_start"] for bar in found["bars"]] + starts
        if found["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={found['next_cursor']}"
    assert starts == [START, START + MINUTE, START + 2 * MINUTE]


def test_columns_say_the_same_as_objects(worker: Worker) -> None:
    objects = exact(ask(worker, bars_path("fx", "EURUSD")))["bars"]
    table = exact(ask(worker, bars_path("fx", "EURUSD", "?format=columns")))["bars"]
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] == [
        {name: bar.get(name, False) for name in table["columns"]} for bar in objects
    ]


@pytest.mark.parametrize("path", [bars_path("fx", "EURUSD"), "/api/v1/bars"])
def test_csv_and_an_arrow_stream_say_the_same_as_json_to_the_digit(worker: Worker, path: str) -> None:
    objects = exact(ask(worker, path))["bars"]
    text = ask(worker, path, Accept="text/csv")
    assert text.headers["Content-Type"] == "text/csv"
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [{name: row[name] for name in objects[0]} for row in rows] == [
        {name: str(value) for name, value in one.items()} for one in objects
    ]
    stream = ask(worker, path, Accept="application/vnd.apache.arrow.stream")
    table = pa.ipc.open_stream(stream.content).read_all()
    assert table.schema.field("open").type == pa.decimal128(38, 10)
    prices = ("broker", "symbol", "open", "high", "low", "close", "volume", "ticks", "closed_at_offset", "partition")
    assert [[row[name] for name in prices] for row in table.to_pylist()] == [[one[name] for name in prices] for one in objects]
    starts = [row["bucket_start"].timestamp() * 1_000 for row in table.to_pylist()]
    assert starts == [one["bucket_start"] for one in objects]


def test_the_pages_of_csv_are_linked(worker: Worker) -> None:
    path = bars_path("fx", "A/B c", "?limit=2")
    starts: list[int] = []
    while path:
        answer = ask(worker, path, Accept="text/csv")
        starts = [int(row["bucket_start"]) for row in csv.DictReader(io.StringIO(answer.text))] + starts
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert starts == [START, START + MINUTE, START + 2 * MINUTE]


def test_a_price_that_does_not_fit_the_columns_is_named(worker: Worker) -> None:
    answer = ask(worker, bars_path("fx", "EURUSD", "?scale=3"), Accept="application/vnd.apache.arrow.stream")
    assert answer.status_code == 400
    assert "high 1.10590 does not fit 38 digits with 3 decimals" in problem(answer)["detail"]


def test_from_and_to_bound_the_bars_and_the_open_windows(worker: Worker) -> None:
    found = exact(ask(worker, bars_path("fx", "EURUSD", f"?from={START + MINUTE}&to={START + 2 * MINUTE}")))
    assert [bar["bucket_start"] for bar in found["bars"]] == [START + MINUTE]
    assert found["open"] == []


def test_an_answer_that_the_client_has_is_not_sent_again(worker: Worker) -> None:
    path = bars_path("fx", "EURUSD", f"?to={START + 2 * MINUTE}")
    tag = ask(worker, path).headers["ETag"]
    again = ask(worker, path, **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_symbols_are_found_by_the_beginning_of_their_name_whatever_its_case(worker: Worker) -> None:
    def names(query: str) -> list[tuple[str, str]]:
        return [(row["broker"], row["symbol"]) for row in exact(ask(worker, f"/api/v1/symbols{query}"))["symbols"]]

    assert names("?prefix=eur") == [("fx", "EURUSD")]
    assert names("?prefix=FX%7Ca") == [("fx", "A/B c")]
    assert names("?broker=cme") == [("cme", "6E")]
    assert names("?prefix=usd") == []
    seen, query = [], "?limit=1"
    while query:
        found = exact(ask(worker, f"/api/v1/symbols{query}"))
        seen += [row["symbol"] for row in found["symbols"]]
        query = f"?limit=1&cursor={found['next_cursor']}" if found["next_cursor"] else ""
    assert seen == ["6E", "A/B c", "EURUSD"]


def test_the_newest_bars_of_everything_or_of_some_names_come_first(worker: Worker) -> None:
    def found(query: str) -> list[tuple[str, int]]:
        return [(bar["symbol"], bar["bucket_start"]) for bar in exact(ask(worker, f"/api/v1/bars{query}"))["bars"]]

    assert len(found("")) == 9
    assert {start for _, start in found("?limit=3")} == {START + 2 * MINUTE}
    assert found("?broker=cme&limit=2") == [("6E", START + 2 * MINUTE), ("6E", START + MINUTE)]
    assert found("?broker=fx&symbol=EURUSD&limit=1") == [("EURUSD", START + 2 * MINUTE)]
    assert found("?symbol=NONE") == []


def test_open_windows_are_listed_page_by_page(worker: Worker) -> None:
    seen, query = [], "?limit=2"
    while query:
        found = exact(ask(worker, f"/api/v1/windows{query}"))
        seen += [(row["broker"], row["symbol"], row["ticks"]) for row in found["windows"]]
        query = f"?limit=2&cursor={found['next_cursor']}" if found["next_cursor"] else ""
    assert seen == [("cme", "6E", 20), ("fx", "A/B c", 20), ("fx", "EURUSD", 20)]


@pytest.mark.parametrize(
    ("broker", "symbol", "start", "status", "said"),
    [
        ("fx", "EURUSD", START, "final", r"Final since .* 60 ticks .* 1 tick of it came late"),
        ("fx", "EURUSD", START + 3 * MINUTE, "open", r"stream time of fx is .* 46\.0 s more.*silence closes it"),
        ("fx", "EURUSD", START + 4 * MINUTE, "not_opened", r"can still open until"),
        ("fx", "EURUSD", START - MINUTE, "never_opened", r"none can any more"),
        ("fx", "NONE", START, "not_opened", r"no tick of it has been read"),
    ],
)
def test_why_explains_the_state_of_a_window(
    worker: Worker, broker: str, symbol: str, start: int, status: str, said: str
) -> None:
    found = exact(ask(worker, why_path(broker, symbol, start)))
    assert found["status"] == status
    assert re.search(said, found["sentence"])


def test_why_has_fields_for_programs(worker: Worker) -> None:
    final = exact(ask(worker, why_path("fx", "EURUSD", START)))
    assert (final["bar"]["closed_at_offset"], final["partition"], final["late_ticks"]) == (195, 0, 1)
    opened = exact(ask(worker, why_path("fx", "EURUSD", START + 3 * MINUTE)))
    assert (opened["missing_ms"], opened["closes_by"], opened["worker"]) == (46_000, "idle", address(worker))
    assert opened["closes_at"] == opened["window"]["idle_due"]


def test_status_has_settings_workers_and_the_state_of_the_read_model_but_no_secret(worker: Worker) -> None:
    found = exact(ask(worker, "/api/v1/status"))
    assert found["state"] == "running"
    assert found["workers"] == [{"url": address(worker), "me": True, "partitions": [0, 1]}]
    assert (found["read_model"]["state"], found["read_model"]["bars"]) == ("live", 9)
    assert found["settings"]["topic_partitions"]["value"] == "2"
    assert found["settings"]["topic_partitions"]["source"] == "environment"
    assert found["uptime_ms"] >= 0


def test_partitions_show_position_lag_watermarks_and_owner(worker: Worker) -> None:
    worker.wait(lambda: partition(worker, 0)["checkpointed"] == 603, "a checkpoint holds all of it")
    row = partition(worker, 0)
    assert (row["position"], row["high_watermark"], row["lag"], row["open_windows"]) == (603, 603, 0, 3)
    assert (row["owner"], row["me"], row["state"]) == (address(worker), True, "running")
    assert row["stream_times"]["fx"]["watermark"] == START + 199_000 - 5_000


def partition(worker: Worker, number: int) -> dict[str, Any]:
    found: dict[str, Any] = exact(ask(worker, "/api/v1/partitions"))["partitions"][number]
    return found


def test_the_accounting_is_balanced(worker: Worker) -> None:
    found = exact(ask(worker, "/api/v1/accounting"))
    assert found["total"] == {"read": 603, "binned": 600, "corrected": 0, "late": 1, "rejected": 2, "heartbeats": 0, "lost": 0}
    assert found["balanced"] is True


def test_late_and_rejected_records_are_listed_with_their_reasons(worker: Worker) -> None:
    (late,) = exact(ask(worker, "/api/v1/late"))["records"]
    assert (late["broker"], late["symbol"], late["bucket_start"], late["offset"]) == ("fx", "EURUSD", START, 600)
    assert ask(worker, "/api/v1/rejected?from=1").status_code == 400, "they are of no window"
    rejected = exact(ask(worker, "/api/v1/rejected"))
    assert rejected["reasons"] == {"json": 1, "empty": 1}
    (one,) = exact(ask(worker, "/api/v1/rejected?reason=json"))["records"]
    assert (one["value"], one["symbol"], one["ts"]) == ("nix", "EURUSD", None)
    page = exact(ask(worker, "/api/v1/rejected?limit=1"))
    (older,) = exact(ask(worker, f"/api/v1/rejected?limit=1&cursor={page['next_cursor']}"))["records"]
    assert older["id"] < page["records"][0]["id"]


def test_the_wheel_shows_what_the_idle_timer_will_close(worker: Worker) -> None:
    found = exact(ask(worker, "/api/v1/wheel"))
    row = found["partitions"][0]
    assert {(due["scope"], due["end"]) for due in row["due"]} == {("fx", START + 4 * MINUTE), ("cme", START + 4 * MINUTE)}
    assert row["entries"] == sum(entries for _, entries in row["slots"])
    assert found["timer"]["worst_lag_ms"] >= found["timer"]["lag_ms"] >= 0


def test_migrations_are_off_without_a_server(worker: Worker) -> None:
    found = exact(ask(worker, "/api/v1/migrations"))
    assert (found["state"], found["steps"]) == ("off", [])


def test_metrics_count_what_the_accounting_counts_and_name_no_symbol(worker: Worker) -> None:
    text = ask(worker, "/metrics").text
    assert 'barwheel_ticks_processed_total{outcome="late",partition="0"} 1.0' in text
    assert 'bars_emitted_total{reason="watermark"} 9.0' in text
    assert 'windows_open_count{partition="0"} 3.0' in text
    assert 'barwheel_rejected_ticks_total{reason="json"} 1.0' in text
    assert "late_ticks_dropped_total" in text
    assert "barwheel_tick_to_bar_seconds_count 9.0" in text
    assert "EURUSD" not in text
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert names == set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    bare = {name for name in names if not name.startswith(("barwheel_", "process_", "python_"))}
    assert bare == {"bars_emitted_total", "late_ticks_dropped_total", "windows_open_count", "watermark_lag_ms"}


# ---- refusals


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/symbols?limit=0", "limit"),
        ("/api/v1/symbols?limit=1_0", "limit"),
        ("/api/v1/symbols?cursor=nix", "cursor"),
        ("/api/v1/symbols?what=1", "what"),
        ("/api/v1/symbols?limit=1&limit=2", "limit"),
        ("/api/v1/windows?cursor=WzEsIDJd", "cursor"),
        (bars_path("fx", "EURUSD", "?from=yesterday"), "from"),
        (why_path("fx", "EURUSD", START + 1), "bucket_start"),
        (why_path("f|x", "EURUSD", START), "broker"),
    ],
)
def test_an_invalid_parameter_is_named(worker: Worker, path: str, name: str) -> None:
    answer = ask(worker, path)
    assert answer.status_code == 400
    assert [error["name"] for error in problem(answer)["errors"]] == [name]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/chart/a%7Cb/EURUSD", "broker=a|b"),
        ("/chart/fx/%00", "symbol="),
        (f"/chart/fx/{'x' * 1_025}", "symbol=xxx"),
        ("/live?broker=a%7Cb", "broker=a|b"),
    ],
)
def test_a_page_of_a_name_that_no_tick_can_have_is_refused(worker: Worker, path: str, told: str) -> None:
    answer = httpx.get(address(worker) + path, headers={"Accept": "text/html"})
    assert (answer.status_code, told in answer.text) == (400, True)
    assert answer.headers["content-type"].startswith("text/html")


def test_unknown_paths_other_methods_and_bodies_are_problems_too(worker: Worker) -> None:
    assert problem(ask(worker, "/api/v1/nothing"))["title"] == "Not Found"
    answer = httpx.post(f"{address(worker)}/api/v1/status")
    assert (answer.status_code, "GET" in answer.headers["Allow"]) == (405, True)
    problem(answer)
    answer = httpx.request("GET", f"{address(worker)}/api/v1/status", content=b"x")
    assert answer.status_code == 413
    assert ask(worker, "/api/v1/symbols?prefix=" + "x" * 9_000).status_code == 414


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02 hello, is this TLS?\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno header secret\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: secret\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"secret" * 20_000 + b"\r\n\r\n", 431),
    ],
)
def test_a_malformed_request_is_a_problem_too_and_is_not_repeated(worker: Worker, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", int(worker.settings["web_port"])), timeout=10) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((f"HTTP/1.1 {status} ".encode(), f"HTTP/1.0 {status} ".encode())), answer
    assert b"application/problem+json" in head
    assert b"default-src 'none'" in head
    assert json.loads(body)["status"] == status
    assert b"secret" not in body
    assert "Traceback" not in worker.log()


def test_a_request_to_another_name_is_refused_and_every_answer_has_a_strict_policy(worker: Worker) -> None:
    answer = ask(worker, "/api/v1/status", Host="evil.example")
    assert answer.status_code == 421
    problem(answer)
    for path in ("/api/v1/status", "/", "/nix", "/healthz"):
        policy = ask(worker, path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


# ---- the OpenAPI document


def test_the_document_is_valid_openapi_and_names_every_endpoint(worker: Worker) -> None:
    answer = ask(worker, "/openapi.json")
    document = answer.json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")
    paths = set(document["paths"])
    assert {"/api/v1/status", "/api/v1/why/{broker}/{symbol}/{bucket_start}", "/api/v1/events", "/readyz"} <= paths
    assert ask(worker, "/openapi.json", **{"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_the_api_answers_as_the_document_says_whatever_is_asked(worker: Worker) -> None:
    document = ask(worker, "/openapi.json").json()
    del document["paths"]["/api/v1/events"]  # its response does not end
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=address(worker))

    operations = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # an error has no such thing, and fails here as it should
        operations += 1
        _exercise(operation, GenerationMode.POSITIVE)
        if document["paths"][operation.path]["get"]["parameters"]:  # without parameters there is nothing invalid to send
            _exercise(operation, GenerationMode.NEGATIVE)
    assert operations == len(document["paths"])


def _exercise(operation: Any, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        # no schema can describe which cursors are valid, and which frames fit a window size and a start
        unknowable = [positive_data_acceptance] if {"cursor", "frame", "state"} & set(case.query or {}) else []
        case.call_and_validate(excluded_checks=unknowable)

    run()


# ---- streams


def test_a_stream_sends_open_windows_bars_as_they_become_final_and_the_accounting_and_can_be_resumed(
    pocket: str, tmp_path: Path
) -> None:
    worker = Worker(pocket, tmp_path)
    try:
        worker.start()
        with (
            listening(worker, {"broker": "fx", "symbol": "EURUSD"}) as one,
            listening(worker, {"broker": "cme"}) as other,
        ):
            produce(worker.bootstrap, worker.ticks_topic, [Tick(START + i, bid="1.50", name="fx|EURUSD") for i in range(3)])
            one.wait(lambda s: any(e.data["open"] for e in s.of("bars")), "the open window is told of")
            produce(worker.bootstrap, worker.ticks_topic, [heartbeat(START + 2 * MINUTE, "fx|EURUSD")])
            one.wait(lambda s: any(e.data["final"] for e in s.of("bars")), "the bar is told of")
            final = next(e for e in one.of("bars") if e.data["final"])
            assert final.data["final"][0]["ticks"] == 3
            one.wait(lambda s: any(e.data["total"]["read"] == 4 for e in s.of("accounting")), "the accounting is told")
            assert one.of("worker")[0].data == {"state": "running", "broker": worker.bootstrap}
            one.wait(lambda s: any(p["stream_times"] for e in s.of("watermarks") for p in e.data["partitions"]), "watermarks")
            produce(worker.bootstrap, worker.ticks_topic, [Tick(START, name="cme|6E"), heartbeat(START + 2 * MINUTE, "cme|6E")])
            other.wait(lambda s: any(e.data["final"] for e in s.of("bars")), "the other bar is told of")
            assert {bar["symbol"] for e in other.of("bars") for bar in e.data["final"]} == {"6E"}
            assert not any(e.data["final"] for e in one.of("bars") if e.id > final.id)
        with listening(worker, {}, last_id=final.id) as resumed:
            assert resumed.of("hello")[0].data["resumed"] is True
            resumed.wait(lambda s: s.of("bars"), "what was missed comes at once")
            assert [bar["symbol"] for bar in resumed.of("bars")[0].data["final"]] == ["6E"]
        with listening(worker, {}, last_id="ffffffff.7") as anew:
            assert anew.of("hello")[0].data["resumed"] is False
    finally:
        worker.end()


def test_a_worker_with_open_streams_sends_bye_and_stops(pocket: str, tmp_path: Path) -> None:
    worker = Worker(pocket, tmp_path)
    try:
        worker.start()
        with listening(worker) as first, listening(worker) as second:
            worker.stop()
            for stream in (first, second):
                stream.wait(lambda s: s.ended, "the stream has ended")
                assert stream.of("bye")
    finally:
        worker.end()


# ---- two workers


def found_open(worker: Worker) -> set[str]:
    """Symbols that begin with `new` and have an open window and no bar, as a worker lists them."""
    rows = exact(ask(worker, "/api/v1/symbols?prefix=new"))["symbols"]
    return {row["symbol"] for row in rows if row["open"] and row["last_start"] is None}


def test_windows_of_another_worker_are_fetched_from_it_and_reported_missing_when_it_is_away(
    pocket: str, tmp_path: Path
) -> None:
    first = Worker(pocket, tmp_path / "first", session_timeout="30s", web_token="they prove it to each other")
    second = beside(first, "second")
    try:
        first.start()
        second.start()
        wait_held(first, 1)
        wait_held(second, 1)
        price = "1.1234567890123456789"
        for number, name in enumerate(("fx|P0", "fx|P1")):
            ticks = [
                Tick(START + 1, bid=price, name=name),
                heartbeat(START + MINUTE + 5_000, name),
                Tick(START + MINUTE, name=name),
            ]
            produce(first.bootstrap, first.ticks_topic, ticks, number)
        for worker in (first, second):
            worker.wait(lambda w=worker: len(exact(ask(w, "/api/v1/windows"))["windows"]) == 2, "the windows are open")  # type: ignore[misc]
            for name in ("P0", "P1"):
                worker.wait(lambda w=worker, n=name: exact(ask(w, bars_path("fx", n)))["bars"], "any worker has the bars")  # type: ignore[misc]
                found = exact(ask(worker, bars_path("fx", name)))
                assert found["bars"][0]["open"] == Decimal(price)
                assert [window["bucket_start"] for window in found["open"]] == [START + MINUTE]
                why = exact(ask(worker, why_path("fx", name, START + MINUTE)))
                assert why["status"] == "open"
            assert exact(ask(worker, "/api/v1/accounting?workers=all"))["total"]["read"] == 6
            listed = exact(ask(worker, "/api/v1/symbols"))
            assert [(row["symbol"], row["open"]) for row in listed["symbols"]] == [("P0", True), ("P1", True)]
            rows = exact(ask(worker, "/api/v1/partitions"))["partitions"]
            assert {row["owner"] for row in rows} == {address(first), address(second)}
        for number in range(2):
            produce(first.bootstrap, first.ticks_topic, [Tick(START + MINUTE, name=f"fx|New{number}")], number)
        for worker in (first, second):
            worker.wait(lambda w=worker: found_open(w) == {"New0", "New1"}, "any worker finds symbols without a bar")  # type: ignore[misc]
        theirs = {int(number) for number in exact(ask(second, "/api/v1/accounting"))["partitions"]}
        (number,) = theirs
        with listening(first, {"broker": "fx", "symbol": f"P{number}"}) as stream:
            stream.wait(lambda s: any(e.data["open"] for e in s.of("bars")), "the stream tells of the other's window")
        second.kill()
        found = exact(ask(first, "/api/v1/windows"))
        assert [window["symbol"] for window in found["windows"]] == [f"New{1 - number}", f"P{1 - number}"]
        (away,) = found["away"]
        assert (away["partitions"], away["url"]) == ([number], address(second))
        assert "cannot be reached" in away["reason"]
        why = exact(ask(first, why_path("fx", f"P{number}", START + MINUTE)))
        assert why["status"] == "owner_away"
        assert address(second) in why["sentence"]
        listed = exact(ask(first, "/api/v1/symbols?prefix=p"))
        assert {row["symbol"]: row["open"] for row in listed["symbols"]} == {f"P{number}": None, f"P{1 - number}": True}
        assert listed["away"][0]["partitions"] == [number]
        states = {row["partition"]: row["state"] for row in exact(ask(first, "/api/v1/partitions"))["partitions"]}
        assert states == {number: "owner_away", 1 - number: "running"}
    finally:
        first.end()
        second.end()


# ---- probes


def test_readiness_needs_the_partitions_while_the_process_is_healthy_before(pocket: str, tmp_path: Path) -> None:
    worker = Worker(pocket, tmp_path)
    try:
        worker.spawn()
        worker.wait(lambda: worker.get("/healthz") is not None, "the process answers")
        answers: list[tuple[int, str]] = []
        until = time.monotonic() + 60
        while not answers or answers[-1][0] != 200:
            answer = ask(worker, "/readyz")
            answers.append((answer.status_code, answer.json()["state"]))
            assert time.monotonic() < until
        assert {state for code, state in answers if code == 503} <= {"starting", "recovering", "waiting"}
        assert answers[-1] == (200, "running")
    finally:
        worker.end()


# ---- access


def test_a_token_that_is_set_is_required_except_by_probes(pocket: str, tmp_path: Path) -> None:
    worker = Worker(pocket, tmp_path, web_token="a secret")
    try:
        worker.start()
        answer = httpx.get(f"{address(worker)}/api/v1/status")
        assert answer.status_code == 401
        assert "Basic" in answer.headers["WWW-Authenticate"]
        assert ask(worker, "/api/v1/status", Authorization="Bearer a secreT").status_code == 401
        allowed = ask(worker, "/api/v1/status", Authorization="Bearer a secret")
        assert allowed.status_code == 200
        assert "a secret" not in allowed.text
        assert httpx.get(f"{address(worker)}/metrics", auth=("me", "a secret")).status_code == 200
        assert httpx.get(f"{address(worker)}/readyz").status_code == 200
        assert "bearer" in ask(worker, "/openapi.json", Authorization="Bearer a secret").text
    finally:
        worker.end()


def test_an_open_address_without_a_token_is_refused_at_the_start_by_setting_and_by_option(pocket: str, tmp_path: Path) -> None:
    worker = Worker(pocket, tmp_path, web_host="0.0.0.0")
    done = worker.run("worker")
    assert (done.returncode, "set web_token" in done.stderr) == (2, True)
    worker.settings["web_host"] = "127.0.0.1"
    done = worker.run("worker", "--web-bind", "0.0.0.0")
    assert (done.returncode, "set web_token" in done.stderr) == (2, True)
