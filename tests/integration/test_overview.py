"""The overview in a real browser: charts of the last hour, explanations of its numbers, tables of hundreds of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route

from app.web.numbers import NUMBERS
from tests.integration.test_pages import Feed
from tests.support.chromium import MISSING, chromium
from tests.support.visits import Visit, browser, visit
from tests.support.web import ask, exact
from tests.support.worker import Worker

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)

PARTITIONS = 200


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with short windows that gets ticks all the time, and has measured a step with bars."""
    worker = Worker(pocket, tmp_path_factory.mktemp("overview"), topic_partitions="1", window_size="2s", grace="500ms")
    worker.start()
    feed = Feed(worker)
    try:
        worker.wait(lambda: any(step["bars"] for step in steps(worker)), "a step has bars")
        yield worker
    finally:
        feed.end()
        worker.end()


def steps(worker: Worker) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = exact(ask(worker, "/api/v1/activity?workers=all"))["steps"]
    return found


def many_partitions(route: Route) -> None:
    """The answer with the partition of this worker many times: some of them of another worker, some with lag."""
    answer = route.fetch()
    shown = answer.json()
    (one,) = shown["partitions"]
    shown["partitions"] = [
        one
        | {"partition": number, "position": 1_000 + number, "lag": number if number % 50 == 7 else 0}
        | ({"me": False, "owner": "http://10.0.0.9:6066"} if number % 2 else {})
        | ({"state": "no_owner", "owner": None, "me": False} if number == 130 else {})
        | {"stream_times": {f"broker{number:03}": time for time in one["stream_times"].values()}}
        for number in range(PARTITIONS)
    ]
    route.fulfill(response=answer, json=shown)


@pytest.mark.parametrize(("width", "scheme"), [("phone", "light"), ("wide", "dark")])
def test_the_overview_of_hundreds_of_partitions_is_sound_at_each_width(
    visit: Callable[..., Visit], width: str, scheme: str
) -> None:
    seen = visit("/numbers", width, scheme)
    seen.page.route("**/api/v1/partitions*", many_partitions)
    for path in ("/", "/numbers"):
        seen.open(path)
        if path == "/":
            seen.wait(lambda: seen.page.locator("#partitions tr").count() == PARTITIONS, "all are listed")
            seen.wait(lambda: seen.page.locator("#card-latency path").count() == 2, "the charts are drawn")
        overflow = seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, f"{path} scrolls sideways by {overflow} px"
        found = Axe().run(seen.page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
    assert seen.wrong == []


def test_a_chart_is_walked_by_keyboard_and_says_the_value_at_each_time(visit: Callable[..., Visit], site: Worker) -> None:
    seen = visit("/")
    seen.wait(lambda: "/s" not in seen.text("#latency-unit") and "p50" in seen.text("#latency-unit"), "there is a latency")
    plot = seen.page.locator("#card-bars .plot")
    for _ in range(40):
        if seen.page.evaluate("document.activeElement.closest('#card-bars .plot') !== null"):
            break
        seen.page.keyboard.press("Tab")
    newest = plot.get_attribute("aria-valuetext")
    seen.page.keyboard.press("ArrowLeft")
    assert plot.get_attribute("aria-valuetext") != newest
    told = seen.text("#card-bars .picked")
    assert told == plot.get_attribute("aria-valuetext")
    for _ in range(10):  # to a step with bars; the last one may have none yet
        if not plot.get_attribute("aria-valuetext", timeout=1_000) or not told.endswith(("none", " 0.0")):
            break
        seen.page.keyboard.press("ArrowLeft")
        told = seen.text("#card-bars .picked")
    rates = {f"{step['bars'] / 10:.1f}" for step in steps(site)}
    assert told.rpartition(": ")[2] in rates
    seen.page.keyboard.press("Home")
    assert plot.get_attribute("aria-valuenow") == "0"
    assert seen.wrong == []


def test_each_number_leads_to_its_explanation_and_that_to_its_metric(visit: Callable[..., Visit], site: Worker) -> None:
    seen = visit("/")
    seen.wait(lambda: seen.page.locator("#tiles a").count() > 5, "the numbers are there")
    linked = {
        str(link).partition("#")[2]
        for link in seen.page.eval_on_selector_all("a[href^='/numbers#']", "all => all.map(a => a.href)")
    }
    assert linked == {number.id for number in NUMBERS}
    seen.page.click("#card-latency a")
    seen.wait(lambda: seen.text("#pill") == "live" and seen.page.url.endswith("/numbers#latency"), "it is explained")
    seen.wait(lambda: "in one series" in seen.text("#latency .metric"), "its metric has a value")
    seen.wait(lambda: seen.focused() == "DIV#latency", "it has the focus")
    metrics = ask(site, "/metrics").text
    for number in NUMBERS:
        assert f"{number.metric}" in metrics, number


def test_partitions_are_filtered_chosen_and_sorted_and_the_address_keeps_it(visit: Callable[..., Visit]) -> None:
    seen = visit("/numbers")
    seen.page.route("**/api/v1/partitions*", many_partitions)
    seen.open("/")

    def numbers() -> list[int]:
        cells = seen.page.eval_on_selector_all("#partitions tr", "rows => rows.map(row => row.cells[0].textContent)")
        return [int(cell) for cell in cells]

    seen.wait(lambda: len(numbers()) == PARTITIONS, "all are listed")
    seen.page.select_option("#only-partitions", "lag")
    assert numbers() == [7, 57, 107, 157]
    assert seen.text("#count-partitions") == f"4 of {PARTITIONS}"
    seen.page.focus("th[data-sort=lag] button")
    seen.page.keyboard.press("Enter")
    assert numbers() == [157, 107, 57, 7]
    assert seen.page.get_attribute("th[data-sort=lag]", "aria-sort") == "descending"
    seen.page.reload()
    seen.wait(lambda: numbers() == [157, 107, 57, 7], "it is kept")
    seen.page.select_option("#only-partitions", "other")
    assert numbers() == [130]
    seen.page.select_option("#only-partitions", "")
    seen.page.fill("#filter-partitions", "no owner")
    assert numbers() == [130]
    seen.page.fill("#filter-scopes", "broker12")
    names = seen.page.eval_on_selector_all("#scopes tr", "rows => rows.map(row => row.cells[0].textContent)")
    assert names == [f"broker12{digit}" for digit in range(10)]
    assert seen.wrong == []


def test_a_chart_shows_an_hour_and_its_greatest_value(visit: Callable[..., Visit]) -> None:
    seen = visit("/")

    def an_hour(route: Route) -> None:
        answer = route.fetch()
        shown = json.loads(answer.text())
        now = shown["now"] - shown["now"] % 10_000
        shown["steps"] = [
            {"start": now - 10_000 * back, "read": 10 * back, "bars": 1, "lag": 0, "p50_ms": 5.0, "p99_ms": 9.0, "late": []}
            for back in range(360, 0, -1)
        ]
        route.fulfill(response=answer, json=shown)

    seen.page.route("**/api/v1/activity*", an_hour)
    seen.open("/?q=x")
    seen.wait(lambda: seen.text("#card-read .ends span") == "60 min ago", "an hour is shown")
    assert seen.text("#card-read .most") == "360"
    assert seen.text("#latency") == "5.0 / 9.0"
    assert seen.text("#latency-unit") == "ms, p50 / p99"


@pytest.mark.parametrize(
    ("p50", "p99", "text", "unit"),
    [(0.4, 3.2, "0.4 / 3.2", "ms"), (410.0, 2_270.0, "0.41 / 2.27", "s"), (1_980_000.0, 3_567_000.0, "33 / 59", "min")],
)
def test_a_latency_has_a_unit_of_its_size_and_alone_is_drawn_within_its_chart(
    visit: Callable[..., Visit], p50: float, p99: float, text: str, unit: str
) -> None:
    seen = visit("/")

    def one_step(route: Route) -> None:
        answer = route.fetch()
        shown = json.loads(answer.text())
        start = shown["now"] - shown["now"] % 10_000 - 10_000
        shown["steps"] = [{"start": start, "read": 1, "bars": 1, "lag": 0, "p50_ms": p50, "p99_ms": p99, "late": []}]
        route.fulfill(response=answer, json=shown)

    seen.page.route("**/api/v1/activity*", one_step)
    seen.open("/?q=x")
    seen.wait(lambda: seen.text("#latency") == text, "it is shown")
    assert seen.text("#latency-unit") == f"{unit}, p50 / p99"
    lines = seen.page.eval_on_selector_all("#card-latency path", "(paths) => paths.map((one) => one.getAttribute('d'))")
    width = float(str(seen.page.get_attribute("#card-latency svg", "viewBox")).split(" ")[2])
    drawn = [float(at) for line in lines for at in re.findall(r"[ML](\d+)", line)]
    assert len(drawn) == 4
    assert max(drawn) <= width
