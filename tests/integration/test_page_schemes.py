"""A chart that is open while the browser changes between light and dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, heartbeat, produce
from tests.support.visits import Open, Visit, browser, visit  # reading pixels makes Chromium warn: errors are not looked for
from tests.support.worker import Worker

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.skipif(chromium() is None, reason=MISSING)
START = 1_399_248_000_000  # 2014-05-05
MINUTE = 60_000
BARS = 300
COLORS = ("panel", "text", "line", "up", "down", "warn", "average", "vwap", "other-1")


@pytest.fixture(scope="module")
def site(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with bars of a symbol of two brokers, which go up and down."""
    made = Worker(pocket, tmp_path_factory.mktemp("schemes"), topic_partitions="1")
    try:
        made.start()
        ticks = [
            Tick(START + at * MINUTE + 100 * n, f"1.{5_000 + at * 37 % 400 + n * (-1) ** at}", f"{broker}|EURUSD", ', "qty": 2')
            for at in range(BARS)
            for n in (0, 100)
            for broker in ("fx", "other")
        ]
        beats = [heartbeat(START + (BARS + 1) * MINUTE, f"{broker}|EURUSD") for broker in ("fx", "other")]
        produce(made.bootstrap, made.ticks_topic, [*ticks, *beats])
        made.wait(lambda: made.open_windows() == 0 and made.total().get("heartbeats") == 2, "all windows are closed")
        yield made
    finally:
        made.end()


# the colors of the theme, and how many pixels of the chart have each of them
PIXELS = """(names) => {
  const probe = document.createElement("canvas").getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const count = {};
  for (const canvas of document.querySelectorAll("#chart canvas")) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) {
      const seen = `${data[at]},${data[at + 1]},${data[at + 2]}`;
      count[seen] = (count[seen] ?? 0) + 1;
    }
  }
  return Object.fromEntries(names.map((name) => {
    probe.fillStyle = style.getPropertyValue(`--${name}`).trim();
    const { fillStyle: hex } = probe;
    const parts = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
    return [name, count[parts.join(",")] ?? 0];
  }));
}"""


def drawn(seen: Visit) -> dict[str, int]:
    """Pixels of the chart in each color of the scheme that the page has."""
    found: dict[str, int] = seen.page.evaluate(PIXELS, list(COLORS))
    return found


def missing(seen: Visit) -> list[str]:
    return [name for name, pixels in drawn(seen).items() if not pixels]


def test_an_open_chart_follows_a_change_of_the_color_scheme(visit: Open) -> None:
    seen = visit("/chart/fx/EURUSD?average=20&vwap=1&compare=other")
    seen.wait(lambda: missing(seen) == [], "all of it is drawn in light colors")
    for scheme in ("dark", "light"):
        seen.page.emulate_media(color_scheme=scheme)
        seen.wait(lambda: missing(seen) == [], f"all of it is drawn in {scheme} colors")


def test_a_change_of_the_color_scheme_leaves_older_bars_where_they_are(visit: Open) -> None:
    start = START + 50 * MINUTE
    seen = visit(f"/chart/fx/EURUSD?at={start}")
    seen.wait(lambda: missing(seen) == ["average", "vwap", "other-1"], "it is drawn")
    table = seen.text("#bars")
    seen.page.emulate_media(color_scheme="dark")
    seen.wait(lambda: missing(seen) == ["average", "vwap", "other-1"], "it is drawn in dark colors")
    assert seen.text("#bars") == table
    assert f"at={start}" in seen.page.url
