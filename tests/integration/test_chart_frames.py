"""The chart in a real browser: it switches between frames, and a correction changes the bar that is on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, produce
from tests.support.visits import Open, Visit, browser, send
from tests.support.visits import visit_without_errors as visit
from tests.support.web import ask, exact
from tests.support.worker import Worker

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)
START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
CHART = "/chart/fx/EURUSD"


def tick(minute: float, bid: str) -> Tick:
    return Tick(START + round(minute * MINUTE), bid, "fx|EURUSD", ', "qty": 2')


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with an hour of minutes, longer bars, and corrections that come at once."""
    more = {"late_policy": "correct", "correction_delay": "100ms", "correction_horizon": "2h", "frames": "5m"}
    made = Worker(pocket, tmp_path_factory.mktemp("frames"), topic_partitions="1", **more)
    try:
        made.start()
        wave = [
            tick(at + second, f"1.{5_000 + (at * 37 + round(second * 100) * 13) % 400}")
            for at in range(62)
            for second in (0.1, 0.4, 0.7)
        ]
        produce(made.bootstrap, made.ticks_topic, wave)
        produce(made.bootstrap, made.ticks_topic, [tick(20.5, "1.6"), tick(20.55, "1.4")])
        path = f"/api/v1/why/fx/EURUSD/{START + 20 * MINUTE}"
        made.wait(lambda: bool((exact(ask(made, path))["bar"] or {}).get("revision")), "a bar was revised")
        made.wait(lambda: len(exact(ask(made, "/api/v1/bars/fx/EURUSD?frame=5m"))["bars"]) == 12, "the longer bars")
        yield made
    finally:
        made.end()


def pressed(page: Visit) -> str:
    return page.text("#frames button[aria-pressed=true]")


def rows(page: Visit) -> list[list[str]]:
    """The table of the newest bars."""
    return [[cell.inner_text() for cell in row.query_selector_all("td")] for row in page.page.query_selector_all("#bars tr")]


@pytest.mark.parametrize(
    ("width", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_a_revised_bar_in_another_frame_is_sound_at_each_width_and_in_both_schemes(
    visit: Open, width: str, scheme: str
) -> None:
    page = visit(f"{CHART}?frame=5m&at={START + 20 * MINUTE}", width, scheme)
    page.wait(lambda: page.page.is_visible("#history"), "the history is shown")
    found = Axe().run(page.page)
    assert found.violations_count == 0, found.generate_report()
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"
    assert pressed(page) == "5m"


def test_frames_are_switched_by_keys_and_back_brings_the_one_before(visit: Open) -> None:
    page = visit(CHART)
    assert (pressed(page), page.text("#frame-name")) == ("1m", "1m")
    page.page.focus("#chart")
    page.page.keyboard.press("2")
    page.wait(lambda: len(rows(page)) == 10 and rows(page)[1][0].endswith("00:55:00"), "the bars of 5m")
    assert page.page.url.endswith("?frame=5m")
    assert (pressed(page), page.text("#frame-name")) == ("5m", "5m")
    page.page.keyboard.press("]")
    page.wait(
        lambda: [row[0][-8:] for row in rows(page)] == [f"0{at // 60}:{at % 60:02}:00" for at in range(60, -1, -15)], "15m"
    )
    assert "frame=15m" in page.page.url
    assert rows(page)[0][-1] == "open"
    assert [row[-1] for row in rows(page)[1:]] == ["final", "final", "revision 1", "final"], "folded from a revised bar"
    assert page.focused() == "DIV#chart"
    page.page.keyboard.press("[")
    page.wait(lambda: pressed(page) == "5m" and len(rows(page)) == 10, "5m again")
    page.page.go_back()
    page.wait(lambda: pressed(page) == "15m" and len(rows(page)) == 5, "Back")
    page.page.go_back()
    page.page.go_back()
    page.wait(lambda: pressed(page) == "1m" and rows(page)[0][0].endswith("01:01:00"), "the first one")
    assert "frame" not in page.page.url


def test_a_frame_is_reached_by_tab_and_the_selected_time_stays_selected(visit: Open) -> None:
    page = visit(f"{CHART}?at={START + 23 * MINUTE}")
    page.wait(lambda: "00:23:00" in page.text("#legend"), "the bar is selected")
    page.page.focus("#frames button")
    page.page.keyboard.press("Tab")
    page.page.keyboard.press("Enter")
    page.wait(lambda: "00:20:00" in page.text("#legend") and pressed(page) == "5m", "the bar that holds it")
    page.wait(lambda: "revised" in page.text("#why"), "it says why")
    assert f"frame=5m&at={START + 20 * MINUTE}" in page.page.url
    page.page.reload()
    page.wait(lambda: "00:20:00" in page.text("#legend") and pressed(page) == "5m", "the address has both")


@pytest.mark.parametrize("frame", ["10m", "1d"])
def test_any_frame_may_be_in_the_address_and_says_that_it_is_folded(visit: Open, frame: str) -> None:
    page = visit(f"{CHART}?frame={frame}")
    assert pressed(page) == frame
    page.wait(lambda: "folded from" in page.text("#why"), "it says why")


def test_a_frame_that_cannot_be_is_an_error_that_says_so(site: Worker, browser: Browser) -> None:
    page = Visit(browser, site, "desktop", "light")
    answer = page.page.goto(f"http://127.0.0.1:{site.settings['web_port']}{CHART}?frame=90s")
    assert answer is not None
    assert answer.status == 400
    assert "no multiple of the window size 1m" in page.text("main")
    page.close()


def test_a_correction_that_arrives_while_the_bar_is_on_the_screen_changes_it(visit: Open, site: Worker) -> None:
    at = START + 40 * MINUTE
    base, longer, folded = (visit(f"{CHART}?{query}at={at}") for query in ("", "frame=5m&", "frame=10m&"))
    for page in (base, longer, folded):
        page.wait(lambda page=page: "final" in page.text("#legend"), "the bar is selected")  # type: ignore[misc]  # bound now
    assert not base.page.is_visible("#history")
    send(site, [tick(40.5, "1.9")])
    for page in (base, longer, folded):
        page.wait(lambda page=page: "revision 1" in page.text("#legend"), "it is revised")  # type: ignore[misc]  # bound now
        assert "H 1.9" in page.text("#legend")
    for page in (base, longer):
        page.wait(lambda page=page: page.page.is_visible("#history"), "its versions")  # type: ignore[misc]  # bound now
        versions = page.page.query_selector_all("#versions tr")
        assert [row.query_selector_all("td")[0].inner_text() for row in versions] == ["revision 1", "final"]
        assert versions[0].query_selector_all(".changed")[0].inner_text().startswith("1.9")
        page.wait(lambda page=page: "revised once since" in page.text("#why"), "it says why")  # type: ignore[misc]  # bound now
        assert "was revised" in page.page.inner_text("#spoken")


def test_a_correction_appears_among_the_live_bars_in_the_place_of_the_bar(visit: Open, site: Worker) -> None:
    page = visit("/live")
    page.wait(lambda: "00:58:00" in page.text("#rows"), "the bars are listed")
    send(site, [tick(58.5, "1.95")])

    def first() -> str:
        return page.page.query_selector_all("#rows tr")[0].inner_text()

    page.wait(lambda: "00:58:00" in first() and "revision 1" in first(), "the revision comes first")
    assert page.text("#rows").count("00:58:00") == 1


def test_folded_bars_are_saved_as_the_api_has_them(visit: Open, site: Worker, tmp_path: Path) -> None:
    page = visit(f"{CHART}?frame=10m")
    page.wait(lambda: len(rows(page)) >= 6, "the bars")
    page.wait(
        lambda: ask(site, "/api/v1/bars/fx/EURUSD?frame=10m", Accept="text/csv").text.count("\r\n") >= 6, "they are final"
    )
    with page.page.expect_download() as caught:
        page.page.click("#csv")
    caught.value.save_as(tmp_path / "bars.csv")
    saved = (tmp_path / "bars.csv").read_bytes().decode()
    assert saved == ask(site, "/api/v1/bars/fx/EURUSD?frame=10m", Accept="text/csv").text
    assert ",partition," in saved.partition("\r\n")[0]
