"""The pages in a real browser, with ticks flowing: at both widths, light and dark, by keyboard, through a worker's death."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Request, Route

from tests.conformance.pocket_process import PocketProcess
from tests.support.chromium import MISSING, chromium
from tests.support.relay import Relay
from tests.support.ticks import Tick, heartbeat, now_ms, produce
from tests.support.visits import Visit, browser, send, visit
from tests.support.web import ask, exact
from tests.support.worker import Worker

SYMBOLS = ("live", "EURUSD", "other")
PATHS = ["/", "/symbols", "/chart/A/live", "/live", "/wheel", "/side/late", "/side/rejected", "/migrations"]


__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)


class Feed:
    """Sends a tick of each symbol ten times a second, and now and then a late and an invalid one."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in itertools.count():
            if self._ended.wait(0.1):
                return
            now = int(time.time() * 1_000)
            ticks = [Tick(now, f"1.{(number * 37 + at * 11) % 90 + 10:02}", f"A|{name}") for at, name in enumerate(SYMBOLS)]
            if not number % 10:
                ticks += [Tick(now - 60_000, "1.5", "A|live"), Tick(value=b"{no json", key=b"A|live")]
            produce(self._worker.bootstrap, self._worker.ticks_topic, ticks)

    def end(self) -> None:
        """Stop to send ticks."""
        self._ended.set()
        self._thread.join()


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with short windows that gets ticks all the time."""
    worker = Worker(pocket, tmp_path_factory.mktemp("site"), topic_partitions="1", window_size="2s", grace="500ms")
    worker.start()
    feed = Feed(worker)
    try:
        worker.wait(lambda: worker.total().get("rejected", 0) > 0, "ticks have been read")
        yield worker
    finally:
        feed.end()
        worker.end()


@pytest.mark.parametrize(
    ("width", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_each_page_is_sound_at_each_width_and_in_both_schemes(visit: Callable[..., Visit], width: str, scheme: str) -> None:
    for path in PATHS:
        seen = visit(path, width, scheme)
        overflow = seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, f"{path} scrolls sideways by {overflow} px"
        found = Axe().run(seen.page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
        assert seen.wrong == [], path


def test_migrations_that_are_off_have_no_lists_of_what_ksqldb_has(visit: Callable[..., Visit]) -> None:
    seen = visit("/migrations")
    seen.wait(lambda: seen.text("#state").startswith("Off"), "it says that they are off")
    assert "ksqlDB" not in seen.text("main")


def test_all_time_frames_of_a_chart_are_on_the_screen_of_a_phone(visit: Callable[..., Visit]) -> None:
    seen = visit("/chart/A/live", "phone")
    rights = "[...document.querySelectorAll('#frames button')].map((one) => one.getBoundingClientRect().right)"
    assert max(seen.page.evaluate(rights)) <= 390


def test_the_overview_counts_on_and_adds_up(visit: Callable[..., Visit]) -> None:
    seen = visit("/")
    before = seen.text("#balance")
    assert "every record is accounted for" in before
    seen.wait(lambda: seen.text("#balance") != before, "the accounting goes on")
    seen.wait(lambda: float(seen.text("#rate-read").replace(",", "")) > 1, "the rate is shown")
    assert "this worker" in seen.text("#partitions")


def test_the_rate_of_bars_is_a_mean_of_what_its_chart_shows(visit: Callable[..., Visit]) -> None:
    seen = visit("/")
    shown = "[document.querySelector('#rate-bars'), document.querySelector('#card-bars .most')].map((one) => one.textContent)"

    def rates() -> list[str]:
        found: list[str] = seen.page.evaluate(shown)
        return found

    seen.wait(lambda: "-" not in rates() and "" not in rates(), "both are shown")
    mean, most = (float(text.replace(",", "")) for text in rates())
    assert 0 < mean <= most


def test_the_overview_says_that_a_clock_was_wrong(visit: Callable[..., Visit]) -> None:
    seen = visit("/")
    seen.wait(lambda: "every record is accounted for" in seen.text("#balance"), "the accounting is shown")
    assert not seen.page.is_visible("#clocks")

    def with_a_wrong_clock(route: Route) -> None:
        answer = route.fetch()
        shown = answer.json()
        shown["partitions"]["0"]["arrival_clock_steps"] = 2
        shown["partitions"]["0"]["arrival_clock_violations"] = 1
        route.fulfill(response=answer, json=shown)

    seen.page.route("**/api/v1/accounting*", with_a_wrong_clock)
    seen.wait(lambda: "was left behind (2 times, partition 0)" in seen.text("#clocks"), "the steps are named")
    assert "1 record arrived at a time that the idle timer had passed (partition 0)" in seen.text("#clocks")


def test_the_chart_is_walked_by_keyboard_and_says_why(visit: Callable[..., Visit]) -> None:
    seen = visit("/chart/A/live")
    seen.wait(lambda: "final" in seen.text("#bars"), "a bar is final")
    for _ in range(40):
        if seen.focused() == "DIV#chart":
            break
        seen.page.keyboard.press("Tab")
    assert seen.focused() == "DIV#chart"
    seen.page.keyboard.press("End")
    seen.wait(lambda: seen.text("#why").startswith(("Open", "Final", "Closed", "Closing")), "it says why of the newest")
    seen.page.keyboard.press("ArrowLeft")
    seen.page.keyboard.press("ArrowLeft")
    seen.wait(lambda: "final" in seen.text("#spoken"), "the bar is spoken")
    seen.wait(lambda: seen.text("#why").startswith("Final since"), "it says why of an older one")
    start = str(seen.page.evaluate("location.search")).partition("at=")[2]
    assert start.isdigit()
    seen.page.reload()
    seen.wait(lambda: seen.text("#why").startswith("Final since"), "the link leads to the same bar")
    seen.page.focus("#chart")
    seen.page.keyboard.press("Escape")
    seen.wait(lambda: seen.page.evaluate("location.search") == "", "it follows the newest again")
    assert not seen.page.is_visible("#follow")
    assert seen.wrong == []


def test_the_newest_bar_is_in_sight_after_many_minutes_without_ticks(visit: Callable[..., Visit], site: Worker) -> None:
    now = int(time.time() * 1_000)
    newest = now - now % 2_000
    ticks = [Tick(newest - ago, "1.5", "Gaps|rare") for ago in (400_000, 200_000, 0)]
    send(site, [*ticks, heartbeat(newest + 2_500, "Gaps|rare")])
    seen = visit("/chart/Gaps/rare")
    seen.wait(lambda: seen.text("#bars").count("final") == 3, "all bars are there")
    seen.page.wait_for_timeout(200)  # two frames, in which it takes its place
    box = seen.page.locator("#chart").bounding_box()
    assert box is not None
    met = set()
    for left in range(60, 260, 3):
        seen.page.mouse.click(box["x"] + box["width"] - left, box["y"] + 40)
        met.add(str(seen.page.evaluate("location.search")))
    assert f"?at={newest}" in met


def test_the_chart_goes_on_with_the_ticks(visit: Callable[..., Visit]) -> None:
    seen = visit("/chart/A/live", "phone", "dark")
    first = seen.text("#legend")
    seen.wait(lambda: seen.text("#legend") != first and "open" in seen.text("#legend"), "the open bar moves")
    top = seen.text("#bars tr:first-child td:first-child")
    seen.wait(lambda: seen.text("#bars tr:first-child td:first-child") != top, "a new bar comes")


def test_the_legend_stays_with_the_crosshair_while_the_open_bar_moves(visit: Callable[..., Visit]) -> None:
    seen = visit("/chart/A/live")
    seen.wait(lambda: seen.text("#bars").count("final") >= 8, "there are bars")
    seen.page.wait_for_timeout(200)  # two frames, in which they take their places
    box = seen.page.locator("#chart").bounding_box()
    assert box is not None
    finals = 0
    for left in range(60, 600, 3):  # well away from the open bar: a new bar moves all of them by one
        seen.page.mouse.move(box["x"] + box["width"] - left, box["y"] + 60)
        finals += "final" in seen.text("#legend")
        if finals > 40:
            break
    assert "final" in seen.text("#legend")
    seen.page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById('legend').innerText))"
        ".observe(document.getElementById('legend'), {childList: true})"
    )
    top = seen.text("#bars tr:first-child")
    seen.wait(lambda: seen.text("#bars tr:first-child") != top, "the open bar moves")
    assert not [legend for legend in seen.page.evaluate("said") if "open" in legend]


def test_a_symbol_is_found_and_opened_by_keyboard_alone(visit: Callable[..., Visit]) -> None:
    seen = visit("/symbols")
    for _ in range(20):
        if seen.focused() == "INPUT#q":
            break
        seen.page.keyboard.press("Tab")
    seen.page.keyboard.type("eur")
    seen.wait(lambda: seen.text("#rows").split() != [] and "other" not in seen.text("#rows"), "one is left")
    for _ in range(5):
        seen.page.keyboard.press("Tab")
        if seen.focused().startswith("A#"):
            break
    assert seen.focused() == "A#"
    with seen.page.expect_navigation(url="**/chart/A/EURUSD**"):
        seen.page.keyboard.press("Enter")


def test_rejected_records_can_be_those_of_one_reason(visit: Callable[..., Visit], site: Worker) -> None:
    send(site, [Tick(int(time.time() * 1_000), "-1", "A|live"), Tick(8_900_000_000_000_000, "-1", "A|live")])
    seen = visit("/side/rejected")
    seen.wait(lambda: "price" in seen.text("#reasons"), "both reasons are there")
    seen.page.click("#reasons a:has-text('price')")
    seen.wait(lambda: "is not above 0" in seen.text("#rows"), "its records are shown")
    assert "8900000000000000" in seen.text("#rows tr:first-child td:nth-child(2)")  # no calendar has it
    assert "no json" not in seen.text("#rows")
    assert seen.text("#reasons a[aria-current]") == "price"


def test_the_zone_of_choice_is_kept(visit: Callable[..., Visit]) -> None:
    seen = visit("/side/late")
    utc = seen.text("#rows tr:first-child td:first-child")
    seen.page.select_option("#zone", "Asia/Tokyo")
    assert seen.text("#rows tr:first-child td:first-child") != utc
    seen.page.reload()
    assert seen.page.input_value("#zone") == "Asia/Tokyo"


def test_times_in_the_sentence_and_marks_of_days_are_in_the_chosen_zone(visit: Callable[..., Visit]) -> None:
    seen = visit("/chart/A/live")
    seen.page.select_option("#zone", "Asia/Tokyo")
    seen.wait(lambda: "Asia/Tokyo" in seen.text("#why"), "the sentence is in the zone")
    assert "UTC" not in seen.text("#why")
    days = seen.page.evaluate(DAY_MARKS)
    assert len(days) >= 3, days
    assert {seconds % 86_400 for seconds in days} == {15 * 3_600}, "midnight in Tokyo is 15:00 UTC"


# the times of the marks of days in a chart of bars of an hour
DAY_MARKS = """async () => {
  const { zonedScale } = await import("/static/zones.js");
  const place = document.body.appendChild(document.createElement("div"));
  place.style = "width: 1000px; height: 200px";
  const chart = LightweightCharts.createChartEx(place, zonedScale(LightweightCharts), { width: 1000, height: 200 });
  const days = new Set();
  const tickMarkFormatter = (time, kind) => { if (kind < 3) days.add(time); return "x"; };
  chart.applyOptions({ timeScale: { timeVisible: true, tickMarkFormatter } });
  const start = Date.UTC(2024, 0, 9) / 1000;
  const line = chart.addSeries(LightweightCharts.LineSeries);
  line.setData(Array.from({ length: 120 }, (_, hour) => ({ time: start + hour * 3600, value: hour })));
  chart.timeScale().fitContent();
  for (let frame = 0; frame < 5; frame += 1) await new Promise(requestAnimationFrame);
  chart.remove();
  place.remove();
  return [...days];
}"""


@pytest.mark.parametrize("price", ["0.0000009", "0.000000000123", "1234.5"])
def test_a_small_price_is_shown_with_all_its_digits(visit: Callable[..., Visit], site: Worker, price: str) -> None:
    name = f"tiny{len(price)}"
    send(site, [Tick(int(time.time() * 1_000), price, f"A|{name}")])
    seen = visit(f"/chart/A/{name}")
    seen.wait(lambda: price in seen.text("#legend"), "the legend has the price")
    assert price in seen.text("#bars")


def test_a_browser_that_blocks_storage_gets_a_page_that_works(browser: Browser, site: Worker) -> None:
    seen = Visit(browser, site, "desktop", "light")
    seen.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('blocked', 'SecurityError'); } })"
    )
    seen.open("/side/late")
    utc = seen.text("#rows tr:first-child td:first-child")
    seen.page.select_option("#zone", "Asia/Tokyo")
    assert seen.text("#rows tr:first-child td:first-child") != utc
    assert seen.wrong == []
    seen.close()


def test_a_search_is_in_the_address_and_back_brings_it_again(visit: Callable[..., Visit]) -> None:
    seen = visit("/symbols")
    seen.page.fill("#q", "eur")
    seen.wait(lambda: seen.text("#rows").split()[:1] == ["EURUSD"], "it is found")
    seen.page.click("#rows a")
    seen.wait(lambda: seen.text("#pill") == "live", "the chart is there")
    seen.page.go_back()
    seen.wait(lambda: seen.text("#rows").split()[:1] == ["EURUSD"] and "other" not in seen.text("#rows"), "the search is back")
    assert seen.page.input_value("#q") == "eur"


def test_back_goes_from_a_selected_bar_to_the_one_before(visit: Callable[..., Visit]) -> None:
    seen = visit("/chart/A/live")
    seen.wait(lambda: seen.text("#legend").strip() != "", "bars are drawn")
    chart = seen.page.query_selector("#chart")
    box = chart.bounding_box() if chart else None
    assert box is not None

    def address() -> str:  # as the page has it: playwright's own is told later, and one more click would be one more entry
        return str(seen.page.evaluate("location.href"))

    addresses = [address()]

    def click(left: int) -> bool:
        seen.page.mouse.click(box["x"] + box["width"] - left, box["y"] + 100, delay=50)
        return address() != addresses[-1]

    for left in (200, 300):
        seen.wait(lambda left=left: click(left), "a bar is selected")  # type: ignore[misc]
        addresses.append(address())
    for before in reversed(addresses[:-1]):
        seen.page.go_back()
        seen.wait(lambda before=before: address() == before, "the one before is selected")  # type: ignore[misc]
    for after in addresses[1:]:
        seen.page.go_forward()
        seen.wait(lambda after=after: address() == after, "the one after is selected")  # type: ignore[misc]


# counts the changes of an element that a screen reader is told of
LISTEN = """(id) => {
  window.told = 0;
  const heard = ({ target }) => !(target.ariaHidden ?? target.parentElement.ariaHidden);
  new MutationObserver((changes) => { told += changes.filter(heard).length; })
    .observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
}"""


def test_the_status_is_not_told_again_while_only_its_numbers_change(visit: Callable[..., Visit]) -> None:
    seen = visit("/live")
    seen.wait(lambda: "bars" in seen.text("#state"), "bars have come")
    seen.page.evaluate(LISTEN, "state")
    numbers = seen.text("#rows")
    seen.wait(lambda: seen.text("#rows") != numbers, "more bars have come")
    assert seen.page.evaluate("told") == 0


def test_a_failure_that_goes_on_is_told_once_and_its_button_keeps_the_focus(visit: Callable[..., Visit]) -> None:
    seen = visit("/wheel")
    failed: list[Route] = []

    def fail(route: Route) -> None:
        failed.append(route)
        route.abort()

    seen.page.route("**/api/v1/wheel", fail)
    seen.wait(lambda: "does not answer" in seen.text("#state"), "it says so")
    seen.page.focus("#state button")
    seen.page.evaluate(LISTEN, "state")
    before = len(failed)
    seen.wait(lambda: "does not answer" in seen.text("#state") and len(failed) > before + 2, "it is asked again and again")
    assert seen.page.evaluate("told") == 0
    assert seen.focused() == "BUTTON#"
    seen.page.unroute("**/api/v1/wheel")
    seen.page.keyboard.press("Enter")
    seen.wait(lambda: "does not answer" not in seen.text("#state"), "it answers")
    assert not seen.page.is_visible("#state button")


def test_a_name_as_long_as_a_key_may_be_has_a_chart(visit: Callable[..., Visit], site: Worker) -> None:
    name = "N" * 1_000
    send(site, [Tick(int(time.time() * 1_000), "1.5", f"A|{name}")])
    seen = visit(f"/chart/A/{name}")
    seen.wait(lambda: "1.5" in seen.text("#legend"), "its bar is drawn")
    assert seen.wrong == []


def test_live_bars_come_and_can_be_held(visit: Callable[..., Visit]) -> None:
    seen = visit("/live?broker=A&symbol=live")
    seen.wait(lambda: "live" in seen.text("#rows"), "a bar has come")
    assert "other" not in seen.text("#rows")
    seen.page.click("#pause")
    assert seen.page.get_attribute("#pause", "aria-pressed") == "true"


def test_live_bars_that_came_before_are_there_at_once(visit: Callable[..., Visit]) -> None:
    seen = visit("/wheel")
    seen.page.route("**/api/v1/events*", lambda route: route.abort())
    seen.page.goto(seen.page.url.replace("/wheel", "/live?broker=A&symbol=other"))
    seen.wait(lambda: "other" in seen.text("#rows"), "bars are there without a stream")
    assert "EURUSD" not in seen.text("#rows")


def test_every_page_says_when_kafka_is_silent(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "pocket").mkdir()
    broker = PocketProcess(tmp_path / "pocket")
    broker.start()
    worker = Worker(broker.bootstrap, tmp_path / "worker", topic_partitions="1").start()
    try:
        start = now_ms() - now_ms() % 60_000
        send(worker, [Tick(start, name="fx|EURUSD")])
        seen = Visit(browser, worker, "phone", "dark")
        seen.open("/chart/fx/EURUSD")
        seen.wait(lambda: "open" in seen.text("#bars"), "its window is shown")
        assert not seen.page.is_visible("#worker")
        broker.kill()
        seen.wait(lambda: f"Kafka at {broker.bootstrap} does not answer" in seen.text("#worker"), "the page says so")
        seen.wait(lambda: "It has been silent for" in seen.text("#worker"), "and since when")
        seen.page.evaluate(LISTEN, "worker")
        since = seen.text("#worker")
        seen.wait(lambda: seen.text("#worker") != since, "the time goes on")
        assert seen.page.evaluate("told") == 0, "a screen reader is told once"
        seen.wait(lambda: "Kafka has not answered for" in seen.text("#why"), "it is why the window does not close")
        broker.start()
        seen.wait(lambda: not seen.page.is_visible("#worker"), "all is well again")
        seen.close()
    finally:
        worker.end()
        if broker.alive:
            broker.stop()


def test_names_with_marks_are_shown_as_text(visit: Callable[..., Visit], site: Worker) -> None:
    name = "<b>x</b> & 'y'/%"
    tick = Tick(int(time.time() * 1_000), "1.5", f"A|{name}")
    send(site, [tick])
    seen = visit(f"/chart/A/{quote(name, safe='')}")
    seen.wait(lambda: "1.5" in seen.text("#bars"), "its bar is shown")
    assert seen.text("h1").startswith(name)
    assert seen.wrong == []


@pytest.mark.parametrize("name", [".", ".."])
def test_a_symbol_whose_name_browsers_take_out_of_a_path_has_a_chart(
    visit: Callable[..., Visit], site: Worker, name: str
) -> None:
    now = int(time.time() * 1_000)
    send(site, [Tick(now - 600_000, "1.5", f"{name}|{name}"), Tick(now, "2.5", f"{name}|{name}")])
    seen = visit(f"/live?broker={name}&symbol={name}")
    seen.wait(lambda: seen.page.locator("#rows a").count() > 0, "the bar that the second tick has closed")
    seen.page.locator("#rows a").last.click()
    seen.wait(lambda: "1.5" in seen.text("#bars"), "its chart shows it")
    assert seen.text("h1").startswith(f"{name} {name},")
    seen.wait(lambda: "Final" in seen.text("#why"), "why it is final is told")
    assert seen.wrong == []


def test_bars_of_a_broker_are_searched_for_as_far_back_as_there_are_any(visit: Callable[..., Visit]) -> None:
    seen = visit("/live")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) < 3:
            route.fulfill(json={"bars": [], "next_cursor": f"page{len(asked)}", "complete": True})
        else:
            route.fulfill(response=route.fetch(url=re.sub("&cursor=[^&]+", "", route.request.url)))

    seen.page.route("**/api/v1/bars?*", answer)
    seen.page.goto(seen.page.url + "?broker=A")
    seen.wait(lambda: "live" in seen.text("#rows"), "bars of the third page are shown")
    assert [re.findall("cursor=([^&]+)", url) for url in asked[:3]] == [[], ["page1"], ["page2"]]
    seen.page.goto(seen.page.url.replace("broker=A", "broker=nobody"))
    seen.wait(lambda: "None among all bars that this worker keeps" in seen.text("#state"), "what was searched is told")
    assert seen.wrong == []


def test_a_page_that_is_not_there_says_so(visit: Callable[..., Visit]) -> None:
    seen = visit("/")
    seen.page.goto(seen.page.url + "nothing")
    assert "404" in seen.text("h1")
    assert "Overview" in seen.text("main")


def test_a_page_tells_when_its_worker_dies_and_is_right_again_when_it_is_back(
    visit: Callable[..., Visit], site: Worker
) -> None:
    seen = visit("/chart/A/live")
    seen.wait(lambda: "final" in seen.text("#bars"), "there are bars")
    site.kill()
    seen.wait(lambda: seen.text("#pill") == "disconnected", "it says so")
    assert seen.text("#bars").strip()  # what was there stays
    site.start()
    seen.wait(lambda: seen.text("#pill") == "live", "it is live again")
    killed = now_ms()
    seen.wait(lambda: shown(seen, "#bars")[0] > killed, "bars come again")

    def gapless() -> bool:
        starts = shown(seen, "#bars")
        final = [start for start in starts if start <= newest(site)]
        return len(starts) == 10 and final != [] and final == published(site, final[-1], final[0])

    seen.wait(gapless, "the gap is filled")


def newest(site: Worker) -> int:
    """The start of the newest final bar of one symbol."""
    return int(exact(ask(site, "/api/v1/bars?broker=A&symbol=live&limit=1"))["bars"][0]["bucket_start"])


def published(site: Worker, first: int, last: int) -> list[int]:
    """The starts of its bars within a range, newest first. Not each window has a tick: the feed may be late."""
    bars = exact(ask(site, f"/api/v1/bars/A/live?from={first}&to={last + 1}"))["bars"]
    return [int(bar["bucket_start"]) for bar in reversed(bars)]


def shown(seen: Visit, table: str) -> list[int]:
    """The starts in a table of bars."""
    times = "(table) => Array.from(document.querySelectorAll(`${table} time`)).map((one) => Date.parse(one.dateTime))"
    return [int(start) for start in seen.page.evaluate(times, table)]


def test_a_page_whose_connection_breaks_gets_what_it_missed_from_the_stream(browser: Browser, site: Worker) -> None:
    with Relay(int(site.settings["web_port"])) as relay:
        seen = Visit(browser, site, "desktop", "light", relay.port)
        seen.open("/live?broker=A&symbol=live")
        seen.wait(lambda: seen.text("#rows").count("live") >= 2, "bars have come")
        requests: list[Request] = []
        seen.page.on("request", lambda request: requests.append(request))  # noqa: PLW0108  # playwright takes no builtin
        last = newest(site)
        relay.break_connections()
        seen.wait(lambda: seen.text("#pill") == "disconnected", "it says so")
        seen.wait(lambda: newest(site) >= last + 4_000, "bars are missed")
        relay.mend()
        seen.wait(lambda: seen.text("#pill") == "live", "it is live again")
        missed = newest(site)
        seen.wait(lambda: max(shown(seen, "#rows")) >= missed, "the missed bars are shown")
        starts = shown(seen, "#rows")
        assert last < missed <= starts[0]
        assert starts == published(site, starts[-1], starts[0])
        assert [request.url for request in requests if "/api/v1/bars" in request.url] == []
        assert requests[-1].all_headers()["last-event-id"]
        seen.close()


@pytest.mark.parametrize(("path", "table"), [("/live?broker=A&symbol=live", "#rows"), ("/chart/A/live", "#bars")])
def test_bars_that_come_while_the_stream_is_being_opened_are_not_missed(
    visit: Callable[..., Visit], site: Worker, path: str, table: str
) -> None:
    seen = visit("/wheel")
    held: list[Route] = []
    seen.page.route("**/api/v1/events*", lambda route: held.append(route))  # noqa: PLW0108  # playwright takes no builtin
    seen.page.goto(seen.page.url.replace("/wheel", path))
    seen.wait(lambda: seen.text("#pill") == "connecting" and held != [], "the page asks for events")
    last = newest(site)
    seen.wait(lambda: newest(site) >= last + 4_000, "bars come meanwhile")
    held.pop().continue_()
    missed = newest(site)
    seen.wait(lambda: missed in shown(seen, table), "the newest is shown")
    starts = [start for start in shown(seen, table) if start <= missed]
    assert starts == published(site, starts[-1], missed)


def test_a_chart_whose_first_bar_comes_by_the_stream_goes_to_it(visit: Callable[..., Visit], site: Worker) -> None:
    seen = visit("/chart/A/first")
    assert "No bar yet" in seen.text("#state")
    send(site, [Tick(now_ms(), "1.5", "A|first")])
    seen.wait(lambda: "1.5" in seen.text("#legend"), "its bar is drawn")
    box = seen.page.locator("#chart").bounding_box()
    assert box is not None

    def selected() -> bool:  # few bars are wide: a third of those that fit
        seen.page.mouse.click(box["x"] + box["width"] - 160, box["y"] + 100)
        return "at=" in str(seen.page.evaluate("location.search"))

    seen.wait(selected, "the bar is where it can be clicked")


def test_the_overview_lists_some_brokers_and_counts_the_others(visit: Callable[..., Visit], site: Worker) -> None:
    send(site, [Tick(now_ms(), "1.5", f"broker{number:03}|x") for number in range(250)])
    seen = visit("/")
    seen.wait(lambda: seen.page.locator("#scopes tr").count() == 100, "a hundred are listed")
    row = exact(ask(site, "/api/v1/partitions"))["partitions"][0]
    assert row["more_scopes"] > 150
    assert seen.text("#more-scopes") == f"And {row['more_scopes']} more."
