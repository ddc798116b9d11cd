"""The chart in a real browser: its history, times gone to, lines over the candles, other brokers, files of what is seen."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, produce
from tests.support.visits import Visit, browser
from tests.support.web import ask, exact
from tests.support.worker import Worker

__all__ = ["browser"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)
START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
BARS = 13_000  # more than a chart keeps at a time
CHART = "/chart/fx/EURUSD"
Open = Callable[..., Visit]


def price(minute: int) -> str:
    return f"1.{10_000 + minute * 37 % 80_000}"


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with nine days of minutes of one symbol, of which another broker has the last hundred."""
    made = Worker(pocket, tmp_path_factory.mktemp("history"), topic_partitions="1")
    try:
        made.start()
        ticks = [Tick(START + at * MINUTE, price(at), "fx|EURUSD", f', "qty": {at % 7 + 1}') for at in range(BARS)]
        ticks += [Tick(START + at * MINUTE, "1.5", "ecn|EURUSD") for at in range(BARS - 100, BARS)]
        ticks += [Tick(START + 100 * MINUTE + 5_000, "1.77", "fx|EURUSD")]  # late
        produce(made.bootstrap, made.ticks_topic, ticks)
        made.wait(lambda: starts(made, "limit=1") == [START + (BARS - 2) * MINUTE], "the bars")
        yield made
    finally:
        made.end()


def starts(site: Worker, query: str) -> list[int]:
    return [int(bar["bucket_start"]) for bar in exact(ask(site, f"/api/v1/bars/fx/EURUSD?{query}"))["bars"]]


@pytest.fixture
def visit(site: Worker, browser: Browser) -> Iterator[Open]:
    """Opens pages, none of which may log an error."""
    made: list[Visit] = []

    def new(path: str, width: str = "desktop", scheme: str = "light") -> Visit:
        made.append(Visit(browser, site, width, scheme))
        made[-1].open(path)
        return made[-1]

    yield new
    for one in made:
        one.close()
    assert [wrong for one in made for wrong in one.wrong] == []


def address(seen: Visit) -> str:
    return str(seen.page.evaluate("location.search"))


def drag(seen: Visit, pixels: int) -> None:
    box = seen.page.locator("#chart").bounding_box()
    assert box is not None
    left, top = box["x"] + box["width"] / 2 - pixels / 2, box["y"] + 100
    seen.page.mouse.move(left, top)
    seen.page.mouse.down()
    seen.page.mouse.move(left + pixels, top, steps=3)
    seen.page.mouse.up()


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "dark"), ("phone", "light")])
def test_a_chart_with_everything_on_it_is_sound(visit: Open, width: str, scheme: str) -> None:
    seen = visit(f"{CHART}?average=20&vwap=1&compare=ecn", width, scheme)
    seen.wait(lambda: "(" in seen.text("#legend"), "the other broker is compared")
    found = Axe().run(seen.page)
    assert found.violations_count == 0, found.generate_report()
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"


def test_dragging_goes_on_to_older_bars_and_the_keys_to_both_ends(visit: Open) -> None:
    seen = visit(CHART)
    loads: list[str] = []
    seen.page.on("request", lambda one: loads.append(one.url) if "/bars/fx/EURUSD" in one.url else None)
    seen.page.focus("#chart")
    for _ in range(6):
        seen.page.keyboard.press("-")

    def dragged() -> bool:
        drag(seen, 900)
        return len(loads) >= 5

    seen.wait(dragged, "older pages are loaded")
    seen.wait(lambda: "Older bars" in seen.text("#state"), "the newest bars were given back")
    seen.page.focus("#chart")
    seen.page.keyboard.press("Home")
    seen.wait(lambda: address(seen) == f"?at={START}", "the first bar of all")
    seen.page.keyboard.press("ArrowLeft")
    seen.page.keyboard.press("ArrowRight")
    seen.wait(lambda: address(seen) == f"?at={START + MINUTE}", "the second one")
    seen.page.keyboard.press("End")
    seen.wait(lambda: address(seen) == f"?at={START + (BARS - 1) * MINUTE}", "the newest of all")
    assert "Older bars" not in seen.text("#state")
    newest = [START + at * MINUTE for at in range(BARS - 1, BARS - 11, -1)]
    times = "Array.from(document.querySelectorAll('#bars time')).map((one) => Date.parse(one.dateTime))"
    assert seen.page.evaluate(times) == newest


def test_a_time_is_gone_to_by_keyboard_in_the_chosen_zone_and_back_returns(visit: Open) -> None:
    seen = visit(CHART)
    seen.page.select_option("#zone", "Asia/Tokyo")
    seen.page.fill("#goto-time", "2014-05-05T12:30:00")
    seen.page.press("#goto-time", "Enter")
    wanted = START + (3 * 60 + 30) * MINUTE
    seen.wait(lambda: address(seen) == f"?at={wanted}", "the bar of 03:30 UTC")
    seen.wait(lambda: "2014-05-05 12:30:00" in seen.text("#legend"), "it is shown")
    assert seen.focused() == "DIV#chart"
    seen.page.go_back()
    seen.wait(lambda: "Older bars" not in seen.text("#state") and address(seen) == "", "the newest again")


def test_the_late_ticks_of_a_bar_are_listed(visit: Open) -> None:
    seen = visit(f"{CHART}?at={START + 100 * MINUTE}")
    seen.wait(lambda: "1.77" in seen.text("#late-rows"), "the late tick")
    seen.page.focus("#chart")
    seen.page.keyboard.press("ArrowRight")
    seen.wait(lambda: not seen.page.is_visible("#late"), "the next bar has none")


def test_the_lines_have_the_values_of_the_bars(visit: Open) -> None:
    at = BARS - 50
    seen = visit(f"{CHART}?at={START + at * MINUTE}&average=20&vwap=1&compare=ecn")
    average = sum(float(price(one)) for one in range(at - 19, at + 1)) / 20
    midnight = at - at % (24 * 60)
    paid = sum(float(price(one)) * (one % 7 + 1) for one in range(midnight, at + 1))
    vwap = paid / sum(one % 7 + 1 for one in range(midnight, at + 1))
    away = 1.5 - float(price(at))
    for text in (f"average 20 {average:.5f}", f"00:00:00 {vwap:.5f}", f"ecn 1.50000 ({away:+.5f})"):
        seen.wait(lambda text=text: text in seen.text("#legend"), text)  # type: ignore[misc]  # bound now


def test_what_is_seen_is_saved_as_csv_with_every_digit_and_as_a_picture(visit: Open, site: Worker, tmp_path: Path) -> None:
    at = START + 5_000 * MINUTE
    seen = visit(f"{CHART}?at={at}")
    seen.wait(lambda: "final" in seen.text("#legend"), "it is shown")
    with seen.page.expect_download() as caught:
        seen.page.click("#csv")
    caught.value.save_as(tmp_path / "bars.csv")
    with (tmp_path / "bars.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    saved = [int(row["bucket_start"]) for row in rows]
    assert at in saved
    assert saved == starts(site, f"from={saved[0]}&to={saved[-1] + 1}")
    assert [row["close"] for row in rows] == [price((start - START) // MINUTE) for start in saved]
    with seen.page.expect_download() as caught:
        seen.page.click("#png")
    caught.value.save_as(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_slash_opens_another_symbol_by_keyboard_alone(visit: Open) -> None:
    seen = visit("/wheel")
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("ecn|eu")
    seen.wait(lambda: seen.text("#switcher-list").split() == ["EURUSD", "ecn"], "it is found")
    with seen.page.expect_navigation(url="**/chart/ecn/EURUSD"):
        seen.page.keyboard.press("Enter")


def test_the_api_lists_the_brokers_of_a_symbol_and_the_late_ticks_of_a_window(site: Worker) -> None:
    rows = exact(ask(site, "/api/v1/symbols?symbol=EURUSD"))["symbols"]
    assert [row["broker"] for row in rows] == ["ecn", "fx"]
    assert exact(ask(site, "/api/v1/symbols?symbol=EURUS"))["symbols"] == []
    assert exact(ask(site, "/api/v1/bars/fx/EURUSD?limit=1"))["oldest"] == START
    window = START + 100 * MINUTE
    assert len(exact(ask(site, f"/api/v1/late?from={window}&to={window + 1}"))["records"]) == 1
    assert exact(ask(site, f"/api/v1/late?from={window + 1}"))["records"] == []
