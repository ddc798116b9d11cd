"""The API of revised and longer bars on a worker: bars, windows, why and events, of frames that are kept and of others."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.ticks import Tick, produce, read
from tests.support.web import ask, exact, listening
from tests.support.worker import Worker

START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
BARS = "/api/v1/bars/fx/EURUSD"
WHY = "/api/v1/why/fx/EURUSD"


def tick(minute: float, bid: str, more: str = ', "qty": 2') -> Tick:
    return Tick(START + round(minute * MINUTE), bid, "fx|EURUSD", more)


@pytest.fixture(scope="module")
def worker(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with bars of twelve minutes, of which the third was revised twice, and the bars of 5m around it."""
    made = Worker(
        pocket,
        tmp_path_factory.mktemp("frames"),
        late_policy="correct",
        correction_delay="100ms",
        frames="5m",
        topic_partitions="1",
    )
    try:
        made.start()
        produce(made.bootstrap, made.ticks_topic, [tick(at + 0.1, f"1.{at + 10}") for at in range(12)])
        produce(made.bootstrap, made.ticks_topic, [tick(11.5, "1.50")])
        revised = f"{made.settings['topics_prefix']}bar_1m_corrections"
        for number, bid in enumerate(("0.5", "2.5"), 1):
            produce(made.bootstrap, made.ticks_topic, [tick(2.2, bid)])
            made.wait(lambda: len(read(made.bootstrap, revised)) == number, "the bar is revised")  # noqa: B023  # at once
        made.wait(lambda: exact(ask(made, f"{WHY}/{START}?frame=5m"))["bar"], "the longer bar can be asked for")
        made.wait(
            lambda: (
                exact(ask(made, f"{WHY}/{START}?frame=5m"))["bar"]["revision"] == 2
                and exact(ask(made, f"{WHY}/{START + 2 * MINUTE}"))["bar"]["revision"] == 2
            ),
            "the revisions can be asked for",
        )
        yield made
    finally:
        made.end()


def bars(worker: Worker, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = exact(ask(worker, f"{BARS}{query}"))
    return found


def why(worker: Worker, minute: int, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = exact(ask(worker, f"{WHY}/{START + minute * MINUTE}{query}"))
    return found


def test_the_bars_are_the_newest_versions_and_all_of_them_on_request(worker: Worker) -> None:
    newest = bars(worker)
    assert [bar["revision"] for bar in newest["bars"]] == [0, 0, 2, *[0] * 8]
    assert (newest["frame"], newest["kept"]) == ("1m", True)
    assert (newest["bars"][2]["low"], newest["bars"][2]["high"]) == (Decimal("0.5"), Decimal("2.5"))
    every = bars(worker, "?revisions=all")["bars"]
    assert [(bar["bucket_start"], bar["revision"]) for bar in every[1:5]] == [
        (START + MINUTE, 0),
        *((START + 2 * MINUTE, revision) for revision in range(3)),
    ]
    assert [bar["ticks"] for bar in every[2:5]] == [1, 2, 3]
    page = bars(worker, f"?revisions=all&limit=1&to={START + 3 * MINUTE}")
    assert [bar["revision"] for bar in page["bars"]] == [0, 1, 2], "limit counts bars, not versions"
    assert page["next_cursor"]


def test_bars_of_a_kept_frame_are_those_of_its_topics(worker: Worker) -> None:
    longer = bars(worker, "?frame=5m")
    assert (longer["frame"], longer["kept"]) == ("5m", True)
    first, second = longer["bars"]
    assert (first["bucket_start"], first["bucket_end"], first["frame"]) == (START, START + 5 * MINUTE, "5m")
    assert (first["ticks"], first["revision"], first["low"], first["corrected"]) == (7, 2, Decimal("0.5"), 1)
    assert (second["ticks"], second["revision"]) == (5, 0)
    assert [bar["revision"] for bar in bars(worker, "?frame=5m&revisions=all")["bars"]] == [0, 1, 2, 0]
    (window,) = longer["open"]
    assert (window["bucket_start"], window["ticks"], window["ticks_in_open"]) == (START + 10 * MINUTE, 3, 2)
    assert window["closes_at_stream_time"] == START + 15 * MINUTE + 5_000
    assert window["idle_due"] is not None


@pytest.mark.parametrize(("frame", "size"), [("2m", 2), ("10m", 10), ("3m", 3)])
def test_bars_of_any_other_frame_are_folded_from_the_newest_versions(worker: Worker, frame: str, size: int) -> None:
    found = bars(worker, f"?frame={frame}")
    assert (found["frame"], found["kept"]) == (frame, False)
    base = bars(worker)
    minutes = [*base["bars"], *base["open"]]
    every = [*found["bars"], *found["open"]]
    assert [bar["bucket_start"] for bar in every] == [START + at * MINUTE for at in range(0, 12, size)]
    for bar in every:
        inside = [one for one in minutes if bar["bucket_start"] <= one["bucket_start"] < bar["bucket_end"]]
        assert (bar["open"], bar["close"]) == (inside[0]["open"], inside[-1]["close"])
        assert (bar["high"], bar["low"]) == (max(one["high"] for one in inside), min(one["low"] for one in inside))
        assert (bar["ticks"], bar["volume"]) == (sum(one["ticks"] for one in inside), sum(one["volume"] for one in inside))
        assert bar["revision"] == sum(one.get("revision", 0) for one in inside)
        assert bar["final"] == (bar["bucket_end"] <= START + 11 * MINUTE)
    columns = bars(worker, f"?frame={frame}&format=columns")["bars"]
    assert [dict(zip(columns["columns"], row, strict=True))["ticks"] for row in columns["rows"]] == [
        bar["ticks"] for bar in found["bars"]
    ]
    rows = list(csv.DictReader(io.StringIO(ask(worker, f"{BARS}?frame={frame}", Accept="text/csv").text)))
    names = [name for name in (found["bars"] or found["open"])[0] if name not in ("final", "watermark")]
    texts = [{name: str(bar[name]) for name in names} | {"partial": ""} for bar in found["bars"]]
    assert rows == texts, "final ones alone"
    refused = ask(worker, f"{BARS}?frame={frame}", Accept="application/vnd.apache.arrow.stream")
    assert (refused.status_code, "text/csv" in refused.json()["detail"]) == (406, True)
    cursor = ""
    pages: list[dict[str, Any]] = []
    while True:
        page = bars(worker, f"?frame={frame}&limit=2{cursor}")
        pages = [*page["bars"], *page["open"], *pages]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == every


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        (f"{BARS}?frame=7x", "frame", "is not a frame: write 5m, 1h or the like"),
        (f"{BARS}?frame=90s", "frame", "no multiple of the window size 1m"),
        (f"{BARS}?revisions=some", "revisions", "'newest' or 'all'"),
        (f"{BARS}?frame=2m&revisions=all", "revisions", "2m is not kept"),
        ("/api/v1/bars?frame=2m", "frame", "is not kept"),
        ("/api/v1/windows?frame=2m", "frame", "is not kept"),
        ("/api/v1/windows?state=correctable", "state", "needs a broker and a symbol"),
        ("/api/v1/events?frame=2m", "frame", "is not kept"),
        (f"{WHY}/{START + MINUTE}?frame=5m", "bucket_start", f"one starts at {START}"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(worker: Worker, path: str, name: str, said: str) -> None:
    answer = ask(worker, path)
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()["errors"]
    assert error["name"] == name
    assert said in error["message"]


def test_the_newest_bars_of_a_frame_are_listed_each_in_its_newest_version(worker: Worker) -> None:
    found = exact(ask(worker, "/api/v1/bars?frame=5m"))["bars"]
    assert sorted((bar["bucket_start"], bar["revision"], bar["frame"]) for bar in found) == [
        (START, 2, "5m"),
        (START + 5 * MINUTE, 0, "5m"),
    ]


def test_windows_are_those_of_a_frame_or_those_that_can_still_be_revised(worker: Worker) -> None:
    (alone,) = exact(ask(worker, "/api/v1/windows?frame=5m"))["windows"]
    (named,) = exact(ask(worker, "/api/v1/windows?frame=5m&broker=fx&symbol=EURUSD"))["windows"]
    assert alone == named == bars(worker, "?frame=5m")["open"][0]
    found = exact(ask(worker, "/api/v1/windows?state=correctable&broker=fx&symbol=EURUSD"))["correctable"]
    base = {one["bucket_start"]: one for one in found if one["frame"] is None}
    assert min(base) == START + MINUTE, "the first minute has expired: 1:00 + 5 s + 10 min is not above 11:30"
    assert max(base) == START + 10 * MINUTE
    assert (base[START + 2 * MINUTE]["revision"], base[START + 2 * MINUTE]["ticks"]) == (2, 3)
    assert base[START + 2 * MINUTE]["expires_at_stream_time"] == START + 13 * MINUTE + 5_000
    longer = [one for one in found if one["frame"] == "5m"]
    assert [(one["bucket_start"], one["revision"]) for one in longer] == [(START, 2), (START + 5 * MINUTE, 0)]
    only = exact(ask(worker, "/api/v1/windows?state=correctable&broker=fx&symbol=EURUSD&frame=5m"))["correctable"]
    assert only == longer


def test_why_says_how_often_a_bar_was_revised_and_for_how_long_it_can_be(worker: Worker) -> None:
    answer = why(worker, 2)
    assert "Final since" in answer["sentence"]
    assert "revised twice since, last at" in answer["sentence"]
    assert "by 1 late tick (1 tick at first)" in answer["sentence"]
    assert "Late ticks can revise it until stream time reaches 2014-05-05 00:13:05 UTC" in answer["sentence"]
    assert [bar["revision"] for bar in answer["versions"]] == [2, 1, 0]
    assert (answer["correctable"], answer["expires_at_stream_time"]) == (True, START + 13 * MINUTE + 5_000)
    assert answer["part_of"] == [{"frame": "5m", "bucket_start": START, "bucket_end": START + 5 * MINUTE}]
    never = why(worker, 0)
    assert (never["versions"], never["correctable"]) == ([], False)
    assert "revised" not in never["sentence"].replace("It can no longer be revised", "")


def test_why_says_what_a_longer_window_waits_for(worker: Worker) -> None:
    final = why(worker, 0, "?frame=5m")
    assert (final["status"], final["frame"], final["bar"]["revision"]) == ("final", "5m", 2)
    opened = why(worker, 10, "?frame=5m")
    assert (opened["status"], opened["bucket_end"]) == ("open", START + 15 * MINUTE)
    assert "Open, with 3 ticks so far, 2 of them in windows of 1m that are still open" in opened["sentence"]
    assert "must reach 2014-05-05 00:15:05 UTC" in opened["sentence"]
    assert why(worker, 15, "?frame=5m")["status"] == "not_opened"
    folded = why(worker, 0, "?frame=10m")
    assert (folded["status"], folded["folded"]["ticks"]) == ("final", 12)
    assert "folded from the newest versions of shorter ones: 2 bars of 5m, with 2 revisions, 12 ticks" in folded["sentence"]
    assert why(worker, 10, "?frame=10m")["status"] == "open"
    assert why(worker, 20, "?frame=10m")["status"] == "not_opened"


def test_streams_tell_revisions_and_the_bars_and_windows_of_a_frame(worker: Worker) -> None:
    name = {"broker": "fx", "symbol": "GBPUSD"}

    def send(*ticks: tuple[float, str]) -> None:
        made = [Tick(START + round(at * MINUTE), bid, "fx|GBPUSD") for at, bid in ticks]
        produce(worker.bootstrap, worker.ticks_topic, made)

    with listening(worker, name) as base, listening(worker, {**name, "frame": "5m"}) as longer:
        send((11.1, "1.5"), (12.2, "1.6"))
        base.wait(lambda s: any(e.data["final"] for e in s.of("bars")), "the base bar is told of")
        longer.wait(lambda s: any(w["ticks"] == 2 for e in s.of("bars") for w in e.data["open"]), "the open longer window")
        send((11.2, "1.9"))
        base.wait(lambda s: any(e.data["revised"] for e in s.of("bars")), "the revision is told of")
        (revised,) = (bar for event in base.of("bars") for bar in event.data["revised"])
        assert (revised["revision"], revised["ticks"], revised["corrected"]) == (1, 2, 1)
        longer.wait(lambda s: any(w["ticks"] == 3 for e in s.of("bars") for w in e.data["open"]), "the late tick is in there")
        send((15.2, "1.7"))
        longer.wait(lambda s: any(e.data["final"] for e in s.of("bars")), "the longer bar is told of")
        (final,) = (bar for event in longer.of("bars") for bar in event.data["final"])
        assert (final["frame"], final["ticks"], final["bucket_start"]) == ("5m", 3, START + 10 * MINUTE)
        assert all("frame" not in bar for event in base.of("bars") for bar in event.data["final"])
