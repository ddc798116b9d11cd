"""A chart in a real browser whose visitor does not wait until its bars are there."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route

from tests.support.chart_modules import run
from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, produce
from tests.support.visits import Open, Visit, browser
from tests.support.visits import visit_without_errors as visit
from tests.support.web import ask, exact
from tests.support.worker import Worker

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)
START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
BARS = 5_000  # the newest page has not all of them
OLD = START + 100 * MINUTE
CHART = "/chart/fx/EURUSD"
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"  # two of them have been drawn
BARS_COME = """
const { Picture } = await import("/static/picture.js");
const { View } = await import("/static/view.js");
const place = document.body.appendChild(document.createElement("div"));
place.style = "width: 1000px; height: 200px";
const frames = async (count) => { for (let at = 0; at < count; at += 1) await new Promise(requestAnimationFrame); };
const section = await sectionOf(2_000);
const older = { bars: section.bars, size: section.size, starts: section.starts.slice(0, 1_500) };
const picture = new Picture(place, LightweightCharts, () => null);
picture.draw(older);
const nothing = () => {};
const view = new View(picture, { near: nothing, still: nothing, hovered: nothing, clicked: nothing });
await frames(3);
view.scrollTo(section.starts[100]);
if (%s) view.keep(() => true, () => picture.draw(section)); // before the next frame
await frames(3);
const seen = view.seen.map((start) => section.starts.indexOf(start));
picture.chart.remove();
place.remove();
return [seen[0], seen.at(-1)];
"""
SCROLLED = "performance.getEntriesByName('scrolled').length > 0"


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with some days of minutes of one symbol."""
    made = Worker(pocket, tmp_path_factory.mktemp("hurry"), topic_partitions="1", frames="5m")
    try:
        made.start()
        ticks = [Tick(START + at * MINUTE, f"1.{10_000 + at}", "fx|EURUSD") for at in range(BARS)]
        produce(made.bootstrap, made.ticks_topic, ticks)
        newest = START + (BARS - 2) * MINUTE
        made.wait(lambda: [bar["bucket_start"] for bar in bars(made, "limit=1")] == [newest], "the bars")
        yield made
    finally:
        made.end()


def bars(site: Worker, query: str) -> list[dict[str, int]]:
    found: list[dict[str, int]] = exact(ask(site, f"/api/v1/bars/fx/EURUSD?{query}"))["bars"]
    return found


class Held:
    """The page's requests for bars from now on: they wait until they are let go."""

    def __init__(self, seen: Visit) -> None:
        self._seen = seen
        self._routes: list[Route] = []
        self._ended = False
        seen.page.route("**/api/v1/bars/**", self._take)

    def _take(self, route: Route) -> None:
        if self._ended:
            route.continue_()
        else:
            self._routes.append(route)

    def wait(self, count: int) -> None:
        """Wait until so many are held."""

        def held() -> bool:
            self._seen.text("#pill")  # playwright runs its event loop within its own calls
            return len(self._routes) == count

        self._seen.wait(held, f"{count} requests")

    def answer(self) -> None:
        """Let the oldest one go, and wait until the page has taken its answer."""
        route = self._routes.pop(0)
        with self._seen.page.expect_request_finished(lambda one: one == route.request):
            route.continue_()
        self._seen.page.evaluate("new Promise((done) => setTimeout(done))")

    def end(self) -> None:
        """Hold none any longer."""
        self._ended = True
        for route in self._routes:
            route.continue_()


@pytest.fixture
def going_back(visit: Open) -> Callable[[str], tuple[Visit, Held]]:
    """Looks at an old bar and presses a key that goes to the newest bars, which are held."""

    def press(key: str) -> tuple[Visit, Held]:
        seen = visit(f"{CHART}?at={OLD}")
        seen.wait(lambda: "01:40:00" in seen.text("#legend"), "the old bar")
        seen.wait(lambda: bool(seen.page.evaluate(SCROLLED)), "the old bar in sight")
        held = Held(seen)
        seen.page.focus("#chart")
        seen.page.keyboard.press(key)
        held.wait(1)
        return seen, held

    return press


Press = Callable[[str], tuple[Visit, Held]]


def shows_old_bar(seen: Visit) -> bool:
    return "01:40:00" in seen.text("#legend") and seen.text("#state").startswith("Older bars")


def test_back_shows_an_old_bar_again_before_the_newest_have_come(going_back: Press) -> None:
    seen, held = going_back("Escape")
    seen.page.go_back()
    seen.wait(lambda: f"at={OLD}" in seen.page.url, "the address of the old bar")
    held.end()
    seen.wait(lambda: shows_old_bar(seen), "the old bar")


def test_a_time_is_gone_to_before_the_newest_have_come(going_back: Press) -> None:
    seen, held = going_back("Escape")
    seen.page.fill("#goto-time", "2014-05-05T01:40:00")
    seen.page.click("#goto button")
    held.end()
    seen.wait(lambda: shows_old_bar(seen) and f"at={OLD}" in seen.page.url, "the old bar")


def test_another_frame_is_chosen_before_the_last_bar_has_come(going_back: Press) -> None:
    seen, held = going_back("End")
    seen.page.keyboard.press("2")
    held.wait(2)
    held.answer()
    held.end()
    seen.wait(lambda: "5 ticks" in seen.text("#legend"), "the newest five minutes")


def test_what_is_seen_is_saved_under_its_name_while_other_bars_are_on_their_way(going_back: Press, tmp_path: Path) -> None:
    seen, held = going_back("Escape")
    with seen.page.expect_download() as picture:
        seen.page.click("#png")
    assert picture.value.suggested_filename.startswith("fx_EURUSD_1m_2014-05-05")
    seen.page.click("#csv")
    held.wait(2)
    seen.page.focus("#chart")
    seen.page.keyboard.press("2")
    held.wait(3)
    with seen.page.expect_download() as table:
        held.end()
    assert table.value.suggested_filename.startswith("fx_EURUSD_1m_2014-05-05")
    table.value.save_as(tmp_path / "bars.csv")
    with (tmp_path / "bars.csv").open(newline="") as file:
        assert str(OLD) in [row["bucket_start"] for row in csv.DictReader(file)]


def test_bars_that_come_before_a_chart_has_scrolled_do_not_hold_it_where_it_was(visit: Open) -> None:
    seen = visit(CHART)
    expected = run(seen, BARS_COME % "false")
    assert expected[0] < 100 < expected[1]
    assert run(seen, BARS_COME % "true") == expected


def test_a_symbol_is_not_said_to_have_no_bar_while_bars_are_on_their_way(visit: Open) -> None:
    seen = visit(CHART)
    seen.wait(lambda: "1 tick" in seen.text("#legend"), "the newest bar")
    held = Held(seen)
    seen.page.focus("#chart")
    seen.page.keyboard.press("2")
    held.wait(1)
    seen.page.select_option("#zone", "Asia/Tokyo")
    seen.page.evaluate(FRAMES)
    assert seen.text("#state") == ""
    held.end()
    seen.wait(lambda: "5 ticks" in seen.text("#legend"), "five minutes")


@pytest.mark.parametrize("at", ["9" * 20, str(253_402_300_800_000), "1e3", "-5", "x"])
def test_an_address_with_what_is_no_time_shows_the_newest_bar(visit: Open, at: str) -> None:
    seen = visit(f"{CHART}?at={at}")
    seen.wait(lambda: "1 tick" in seen.text("#legend"), "the newest bar")
    seen.page.focus("#goto-time")
    assert seen.page.input_value("#goto-time").startswith("2014-05-08")
