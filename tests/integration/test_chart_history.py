"""The chart in a real browser: its history, times gone to, lines over the candles, other brokers, files of what is seen."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.chart_modules import run
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
BARS = 13_000  # more than a chart keeps at a time
CHART = "/chart/fx/EURUSD"


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
        made.wait(lambda: starts(made, "limit=1") >= [START + (BARS - 2) * MINUTE], "the bars")  # silence may close the last
        yield made
    finally:
        made.end()


def starts(site: Worker, query: str) -> list[int]:
    return [int(bar["bucket_start"]) for bar in exact(ask(site, f"/api/v1/bars/fx/EURUSD?{query}"))["bars"]]


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

    def dragged(wanted: int) -> bool:
        drag(seen, 900)
        return len(loads) >= wanted

    for wanted in range(1, 6):
        seen.wait(partial(dragged, wanted), "older pages are loaded")
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


def test_back_to_a_bar_that_is_not_loaded_keeps_its_address(visit: Open) -> None:
    far = START + 1_000 * MINUTE
    seen = visit(f"{CHART}?at={far}")
    seen.wait(lambda: "16:40:00" in seen.text("#legend"), "the first bar")
    seen.page.fill("#goto-time", "2014-05-12T12:30:00")
    seen.page.press("#goto-time", "Enter")
    seen.wait(lambda: "2014-05-12 12:30:00" in seen.text("#legend"), "the second bar")
    seen.page.go_back()
    seen.wait(lambda: "16:40:00" in seen.text("#legend"), "the first bar again")
    assert address(seen) == f"?at={far}"


def requests_of(seen: Visit, at: int) -> list[str]:
    """The requests for bars of a chart that is opened at a time before all that a first answer has."""
    asked: list[str] = []
    seen.page.on("request", lambda one: asked.append(one.url) if "/bars/fx/EURUSD" in one.url else None)
    seen.open(f"{CHART}?at={at}")
    seen.wait(lambda: "Older bars" in seen.text("#state"), "the first bars are shown")
    seen.page.wait_for_load_state("networkidle")
    return asked


def test_a_time_before_the_first_bar_takes_no_more_requests_than_the_first_bar(visit: Open) -> None:
    before, first = requests_of(visit("/live"), 1), requests_of(visit("/live"), START)
    assert 1 < len(before) <= len(first), before


@pytest.mark.parametrize("inside", [1, MINUTE // 2, MINUTE - 1])
def test_a_time_within_a_window_shows_its_bar_and_why_it_is_final(visit: Open, inside: int) -> None:
    start = START + 1_000 * MINUTE
    seen = visit(f"{CHART}?at={start + inside}")
    seen.wait(lambda: "16:40:00" in seen.text("#legend"), "the bar of that minute")
    seen.wait(lambda: "Final" in seen.text("#why"), "why it is final")
    assert address(seen) == f"?at={start}"


def test_keys_of_the_browser_are_left_to_it(visit: Open) -> None:
    seen = visit(CHART)
    taken = """(held) => ["+", "-", "ArrowLeft", "Home", "Enter", "2"].map((key) =>
      !document.querySelector("#chart").dispatchEvent(new KeyboardEvent("keydown", { key, ...held, cancelable: true })))"""
    for held in ("ctrlKey", "metaKey", "altKey"):
        assert seen.page.evaluate(taken, {held: True}) == [False] * 6, held
    assert seen.page.evaluate(taken, {}) == [True] * 6


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


FULL_WIDTH = [("\uff1d1", "\uff0dx"), ("\uff20a", "\uff0bb")]  # = and -, @ and + of East Asian keyboards


@pytest.mark.parametrize(("broker", "symbol"), [("=1+1", "-x"), ("+ecn,x", '@"ES"'), *FULL_WIDTH])
def test_a_name_that_a_spreadsheet_would_run_is_a_text_in_a_saved_file_and_exact_in_the_api(
    visit: Open, site: Worker, tmp_path: Path, broker: str, symbol: str
) -> None:
    send(site, [Tick(START + at * MINUTE, "1.5", f"{broker}|{symbol}") for at in range(3)])
    path = f"{quote(broker, safe='')}/{quote(symbol, safe='')}"
    site.wait(lambda: len(exact(ask(site, f"/api/v1/bars/{path}"))["bars"]) == 2, "the bars")
    seen = visit(f"/chart/{path}")
    seen.wait(lambda: "1.5" in seen.text("#legend"), "they are shown")
    with seen.page.expect_download() as caught:
        seen.page.click("#csv")
    caught.value.save_as(tmp_path / "bars.csv")
    answer = ask(site, f"/api/v1/bars/{path}", Accept="text/csv").text
    header, *expected = csv.reader(answer.splitlines())
    assert header[:2] == ["broker", "symbol"]
    assert [row[:2] for row in expected] == [[broker, symbol]] * 2
    with (tmp_path / "bars.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [header, *([f"'{broker}", f"'{symbol}", *row[2:]] for row in expected)]


def test_late_ticks_are_those_of_the_bar_and_in_the_zone_even_after_a_failure(visit: Open) -> None:
    seen = visit(f"{CHART}?at={START + 100 * MINUTE}")
    seen.wait(lambda: "01:40:05" in seen.text("#late-rows"), "the late tick")
    seen.page.select_option("#zone", "Asia/Tokyo")
    seen.wait(lambda: "10:40:05" in seen.text("#late-rows"), "in the zone")
    said = seen.page.evaluate("""async () => {
      const { showLate } = await import("/static/late.js");
      const fetched = window.fetch;
      const bar = { bucket_start: 60_000, bucket_end: 120_000, late_ticks: 1 };
      const record = { arrival: 1, ts: 1, detail: "", value: "of another bar", partition: 0, offset: 0 };
      const text = () => document.querySelector("#late-rows").textContent;
      window.fetch = async () => { throw new Error("no answer"); };
      await showLate("fx", "EURUSD", bar).catch(() => {});
      const failed = text();
      window.fetch = async () => Response.json({ records: [record] });
      await showLate("fx", "EURUSD", bar);
      window.fetch = fetched;
      return [failed, text().includes("of another bar")];
    }""")
    assert said == ["", True]


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


@pytest.fixture(scope="module")
def modules(site: Worker, browser: Browser) -> Iterator[Visit]:
    """A page that runs modules of the chart."""
    made = Visit(browser, site, "desktop", "light")
    made.open(CHART)
    yield made
    made.close()


@pytest.mark.parametrize("failed", ["false", "true"])
def test_bars_missed_while_a_page_was_hidden_leave_no_hole(modules: Visit, failed: str) -> None:
    script = f"""
      const section = await sectionOf(2_500);
      world.newest = 8_000;
      if ({failed}) {{
        world.fails = () => true;
        world.during = () => section.take(event(8_001), "open");
        await section.loadNewest().catch(() => {{}});
        world.fails = () => false;
      }}
      world.during = () => section.take(event(8_001), "open");
      await section.loadNewest();
      return [holes(section), section.atEnd, section.starts.at(-1) / M];
    """
    assert run(modules, script) == [[], True, 8_001]


def test_newer_bars_than_one_answer_holds_are_loaded_to_their_end(modules: Visit) -> None:
    script = """
      const section = await sectionOf(2_500, 1_200);
      section.drop(section.starts.filter((start) => start > 2_000 * M));
      section.atEnd = false; // as after a trim
      world.newest = 20_000;
      while (!section.atEnd) await section.loadNewer();
      return [holes(section), section.starts.at(-1) / M];
    """
    assert run(modules, script) == [[], 20_000]


@pytest.mark.parametrize(
    ("load", "revised"),
    [
        ("section.loadOlder()", 7_000 - 2_500),
        ("section.loadNewest()", 6_999),
        ("section.loadAround(3_000 * M)", 2_500),
        ("section.loadAround(6_900 * M)", 7_000),
    ],
)
def test_a_revision_that_arrives_while_bars_are_loaded_is_kept(modules: Visit, load: str, revised: int) -> None:
    script = f"""
      const section = await sectionOf(7_000);
      world.during = () => section.take(event({revised}, {{ revision: 1, close: 9 }}), "final");
      await {load};
      const {{ revision, close }} = section.bars.get({revised} * M);
      return [revision, close, holes(section)];
    """
    assert run(modules, script) == [1, 9, []]


def test_nothing_is_collected_for_a_load_that_failed(modules: Visit) -> None:
    script = """
      const section = await sectionOf(7_000, 3_000);
      section.newest = 7_000 * M; // so that the newest are asked for
      section.reach = 9_000 * M;
      world.fails = () => true;
      await section.loadNewer().catch(() => {});
      const size = () => JSON.stringify(section, (key, value) => (value instanceof Set ? [...value] : value)).length;
      const before = size();
      for (let i = 0; i < 100; i += 1) section.take(event(7_000), "open");
      return size() - before;
    """
    assert run(modules, script) == 0


def test_a_part_of_the_history_that_cannot_be_loaded_leaves_the_one_before(modules: Visit) -> None:
    script = """
      const section = await sectionOf(7_000);
      const before = String(section.starts);
      world.fails = (query) => query.from !== undefined;
      const said = await section.loadAround(3_000 * M).then(() => "loaded", (error) => error.message);
      return [said, String(section.starts) === before, section.atEnd];
    """
    assert run(modules, script) == ["no answer", True, True]


def test_an_older_page_does_not_join_another_part_of_the_history(modules: Visit) -> None:
    script = """
      const section = await sectionOf(9_000);
      let [around, older] = [];
      world.during = () => {
        world.during = async () => {
          await null; // until `around` is set
          await around; // this answer comes last
        };
        older = section.loadOlder();
      };
      around = section.loadAround(1_000 * M);
      await around;
      await older;
      return holes(section);
    """
    assert run(modules, script) == []


@pytest.mark.parametrize(("drawn", "first"), [("section.starts.length", 50), ("0", 0)])
def test_folded_bars_are_made_anew_from_the_first_event_on(modules: Visit, drawn: str, first: int) -> None:
    script = f"""
      const {{ Folded }} = await import("/static/folded.js");
      const section = await sectionOf(100);
      if (!{drawn}) section.clear(M); // a symbol without a bar
      let shown = false;
      const came = [];
      const folded = new Folded(section, () => shown, (from) => came.push(from / M));
      folded.note([event(50, {{ bucket_start: 50.5 * M }})]);
      await folded.fold();
      const early = world.asked.length;
      shown = true; // the bars are on the screen
      await folded.fold();
      return [early, world.asked.map((query) => query.from / M), came];
    """
    assert run(modules, script) == [0, [first], [first]]


# another broker with bars 1 to 40, whose last one is open; `at` is the close that a chart compares with
OTHER = """
  const close = new Map(Array.from({ length: 40 }, (_, i) => [(i + 1) * M, 10 + i]));
  const other = { close, open: new Set([40 * M]), fails: false };
  const real = window.fetch;
  window.fetch = async (url) => {
    const query = new URL(url, location.origin).searchParams;
    const [from, to] = [Number(query.get("from")), Number(query.get("to") ?? Infinity)];
    const within = [...other.close].filter(([start]) => start >= from && start < to);
    const opened = within.filter(([start]) => other.open.has(start));
    const open = opened.map(([start, value]) => ({ bucket_start: start, close: value }));
    const rows = within.filter(([start]) => !other.open.has(start));
    if (other.fails) throw new Error("no answer");
    return Response.json({ bars: { columns: ["bucket_start", "close"], rows }, open, next_cursor: null });
  };
  const { Compare } = await import("/static/compare.js");
  const line = { setData() {}, applyOptions() {} };
  const options = { broker: "fx", symbol: "E", changed() {}, came() {} };
  const compare = new Compare({ addSeries: () => line }, {}, options);
  compare.chosen = ["ecn"];
  const ours = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => (from + at) * M);
  const show = (from, to) => compare.show(ours(from, to), true);
  const at = (i) => compare.closes.get("ecn")?.get(i * M) ?? null;
"""
CASES = {
    "a bar that closes after the next of ours has begun": (
        """
        await show(1, 40);
        await show(1, 41);
        other.close.set(40 * M, 99).set(41 * M, 50);
        other.open = new Set([41 * M]);
        await compare.refresh();
        return [at(40), at(41)];
        """,
        [99, 50],
    ),
    "a bar that begins after the next of ours has begun": (
        """
        other.open.clear();
        await show(1, 43);
        other.close.set(41 * M, 50);
        await compare.refresh();
        return at(41);
        """,
        50,
    ),
    "a revision": (
        """
        await show(1, 40);
        other.close.set(30 * M, 77);
        for (let round = 0; round < 15; round += 1) await compare.refresh();
        return at(30);
        """,
        77,
    ),
    "older bars after a failure": (
        """
        await show(20, 40);
        other.fails = true;
        await show(10, 40).catch(() => {});
        other.fails = false;
        await show(10, 40);
        return [at(10), at(9)];
        """,
        [19, None],
    ),
    "a round that fails is told until one comes": (
        """
        await show(1, 40);
        other.fails = true;
        await compare.refresh();
        const told = document.querySelector("#compare-note").textContent;
        other.fails = false;
        await compare.refresh();
        return [told, document.querySelector("#compare-note").textContent, at(40)];
        """,
        ["Not up to date: the worker does not answer.", "", 49],
    ),
    "neither its own broker nor one twice": (
        """
        history.replaceState(null, "", "?compare=fx&compare=ecn&compare=ecn&compare=");
        const { chosen } = new Compare({ addSeries: () => line }, {}, options);
        history.replaceState(null, "", location.pathname);
        return chosen;
        """,
        ["ecn"],
    ),
    "one load at a time": (
        """
        let asked = 0;
        const answered = window.fetch;
        window.fetch = (url) => (asked += 1) && answered(url);
        await Promise.all([show(1, 40), show(1, 40), compare.refresh()]);
        return [asked, at(40)];
        """,
        [1, 49],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_closes_of_another_broker_are_those_it_published(modules: Visit, case: str) -> None:
    script, expected = CASES[case]
    assert run(modules, f"{OTHER} try {{ {script} }} finally {{ compare.chosen = []; window.fetch = real; }}") == expected
