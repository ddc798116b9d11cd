"""Names of any length and any characters on the pages: each is seen, and none hides what is beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.plain import visible
from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, now_ms, produce
from tests.support.visits import Open, Visit, browser
from tests.support.visits import visit_without_errors as visit
from tests.support.worker import Worker

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)
LONG = "N" * 1_000
TURNED = "\u202eevil"
HOUR = 3_600_000
NAMES = (f"A|{LONG}", f"{LONG}|EURUSD", f"A|{TURNED}", "A| ", "A|EURUSD", "A|a  b")


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with a final bar and an open window of each name."""
    made = Worker(pocket, tmp_path_factory.mktemp("names"), topic_partitions="1", window_size="1h")
    try:
        made.start()
        start = now_ms() - now_ms() % HOUR
        times = (start - 2 * HOUR, start, start - 3 * HOUR)  # the last ones are late
        ticks = [Tick(time, "1.5", name) for time in times for name in NAMES]
        produce(made.bootstrap, made.ticks_topic, ticks)
        made.wait(lambda: made.total().get("late", 0) == len(NAMES), "all of them have been read")
        yield made
    finally:
        made.end()


def inside(seen: Visit, selector: str) -> bool:
    """Whether every element is within its table's part that is on the screen."""
    script = """(selector) => {
      const found = [...document.querySelectorAll(selector)];
      return found.length > 0 && found.every((one) => {
        const [box, place] = [one, one.closest(".scroll")].map((each) => each.getBoundingClientRect());
        return box.width > 0 && box.left >= place.left && box.right <= place.right;
      });
    }"""
    return bool(seen.page.evaluate(script, selector))


@pytest.mark.parametrize(("path", "rows"), [("/live", "#rows"), ("/symbols", "#rows"), ("/wheel", "#due"), ("/", "#scopes")])
def test_a_name_as_long_as_a_key_pushes_no_column_out_of_sight(visit: Open, path: str, rows: str) -> None:
    seen = visit(path)
    seen.wait(lambda: "NNN" in seen.text(rows), "it is listed")
    seen.wait(lambda: inside(seen, f"{rows} td"), "every column of its table is on the screen")
    title = seen.page.locator(f"{rows} .name", has_text="NNN").first.get_attribute("title")
    assert title == LONG, "the pointer gets all of it"


@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_the_heading_of_a_long_name_leaves_room_for_its_chart(visit: Open, width: str) -> None:
    seen = visit(f"/chart/A/{LONG}", width)
    assert seen.page.evaluate("document.querySelector('h1').getBoundingClientRect().height") < 200
    assert "A, 1h bars" in seen.text("h1")
    assert seen.page.get_attribute("h1 .name >> nth=0", "title") == LONG


def test_a_long_broker_beside_which_another_is_compared_stays_within_the_page(visit: Open) -> None:
    seen = visit(f"/chart/A/EURUSD?compare={LONG}", "phone")
    seen.wait(lambda: "NNN" in seen.text("#legend"), "its close is in the legend")
    assert seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_name_of_blanks_is_a_link_that_can_be_seen(visit: Open) -> None:
    seen = visit("/symbols?q=A|")
    blank = seen.page.get_by_role("link", name="\\x20", exact=True)
    seen.wait(blank.is_visible, "it is shown as what it is made of")
    blank.click()
    seen.wait(lambda: seen.text("h1").startswith("\\x20 A,"), "its chart says the same")


@pytest.mark.parametrize("path", ["/symbols?q=A|", "/live?broker=A", "/side/late"])
def test_a_name_does_not_turn_the_text_around(visit: Open, path: str) -> None:
    seen = visit(path)
    seen.wait(lambda: "\\u202eevil" in seen.text("#rows"), "what would turn it is shown")
    assert "\u202e" not in seen.text("main")


def test_a_name_turns_neither_the_heading_nor_the_title_of_its_chart_around(visit: Open) -> None:
    seen = visit(f"/chart/A/{TURNED}")
    assert seen.text("h1").startswith("\\u202eevil A,")
    assert seen.page.title().startswith("\\u202eevil of A")


def test_two_blanks_in_a_name_are_two(visit: Open) -> None:
    seen = visit("/symbols?q=A|")
    seen.wait(lambda: seen.page.get_by_text("a  b", exact=True).count() == 1, "both are shown")


def test_the_switcher_shows_names_as_the_tables_do(visit: Open) -> None:
    seen = visit("/")
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("A|")
    seen.wait(lambda: "\\u202eevil" in seen.text("#switcher-list"), "the name that would turn the text around")
    assert "\\x20" in seen.text("#switcher-list")


def test_the_scripts_show_every_character_as_the_worker_does(visit: Open) -> None:
    seen = visit("/wheel")
    codes = [*range(0x3000), *range(0xFE00, 0x10000), 0xE0001, 0x1F600]
    names = [name for code in codes for name in (chr(code), f"a{chr(code)}b")]
    shown = seen.page.evaluate("async (names) => names.map((await import('/static/names.js')).shown)", names)
    different = [(name, one) for name, one in zip(names, shown, strict=True) if one != visible(name)]
    assert different == []
