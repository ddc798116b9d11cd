"""A chart of very many bars in a real browser, scrolled to its beginning: what it holds stays as much as at first.

With a million bars it takes some minutes, half of them to make the bars:
`BARWHEEL_TEST_BARS=1000000 .venv/bin/python -m pytest tests/integration/test_chart_many_bars.py`
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, heartbeat, produce
from tests.support.visits import Open, Visit, browser
from tests.support.visits import visit_without_errors as visit
from tests.support.web import ask, exact
from tests.support.worker import Worker

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)
START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
BARS = int(os.environ.get("BARWHEEL_TEST_BARS", "60000"))
AT_ONCE = 50_000  # ticks
ENOUGH = 20_000  # bars that have been loaded: from then on those far away have been given back
MOST_GROWTH = 1.5  # of the heap, from then to the beginning


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with a symbol that has very many minutes."""
    made = Worker(pocket, tmp_path_factory.mktemp("many"), topic_partitions="1")
    try:
        made.start()
        for first in range(0, BARS, AT_ONCE):
            minutes = range(first, min(first + AT_ONCE, BARS))
            ticks = [Tick(START + at * MINUTE, f"1.{10_000 + at * 37 % 80_000}", "fx|EURUSD") for at in minutes]
            produce(made.bootstrap, made.ticks_topic, ticks)
        # if the bars take longer than a minute, silence would close the last window: so it is closed at once
        produce(made.bootstrap, made.ticks_topic, [heartbeat(START + (BARS + 1) * MINUTE, "fx|EURUSD")])
        last = START + (BARS - 1) * MINUTE
        made.wait(lambda: newest(made) == [last], "the bars", 60 + BARS / 1_000)
        yield made
    finally:
        made.end()


def newest(site: Worker) -> list[int]:
    return [int(bar["bucket_start"]) for bar in exact(ask(site, "/api/v1/bars/fx/EURUSD?limit=1"))["bars"]]


def heap(seen: Visit) -> int:
    """Bytes of the page's objects, without those that are garbage."""
    session = seen.page.context.new_cdp_session(seen.page)
    session.send("HeapProfiler.collectGarbage")
    size = int(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return size


def scroll_to_older(seen: Visit) -> None:
    """As with a touchpad."""
    seen.page.mouse.wheel(-1_200, 0)


@pytest.mark.parametrize("width", ["desktop", "wide"])  # a wide one shows more bars than a page has
def test_a_chart_is_scrolled_to_its_beginning_and_holds_no_more_than_at_first(visit: Open, width: str) -> None:
    seen = visit("/chart/fx/EURUSD", width)
    asked: list[str] = []
    seen.page.on("request", lambda one: asked.append(one.url) if "/bars/fx/EURUSD" in one.url else None)
    seen.page.focus("#chart")
    for _ in range(12):  # as many bars across as there is room for
        seen.page.keyboard.press("-")
        seen.page.evaluate("new Promise(requestAnimationFrame)")
    seen.page.hover("#chart")
    pages = -(-(BARS - 2_000) // 2_000)  # of older bars

    def scrolled_until(wanted: int) -> bool:
        scroll_to_older(seen)
        return len(asked) >= wanted

    def scroll(wanted: int) -> None:
        for one in range(len(asked) + 1, wanted + 1):
            seen.wait(lambda one=one: scrolled_until(one), f"older bars are loaded, page {one} of {pages}")  # type: ignore[misc]  # bound now

    scroll(ENOUGH // 2_000)
    at_first = heap(seen)
    scroll(pages)
    seen.page.wait_for_load_state("networkidle")
    assert len(asked) == pages == len(set(asked)), f"scrolling loaded every bar, and none twice: {asked}"
    seen.page.focus("#chart")
    seen.page.keyboard.press("Home")  # it asks again for bars that were given back meanwhile
    seen.wait(lambda: f"at={START}" in str(seen.page.evaluate("location.search")), "the first bar of all")
    seen.wait(lambda: heap(seen) < MOST_GROWTH * at_first, "bars far away are given back, once the chart stands still")
