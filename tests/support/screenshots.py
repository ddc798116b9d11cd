"""`python -m tests.support.screenshots`: take the screenshots of the README and the docs from a demo."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.support.chromium import MISSING, chromium
from tests.support.moving_picture import moving
from tests.support.waiting import until_sync
from tests.support.worker import ROOT

PICTURES = ROOT / "docs" / "pictures"
SHOTS = (  # name, path, width, height, scheme
    ("overview", "/", 1200, 860, "light"),
    ("chart", "/chart/north/N003", 1200, 860, "light"),
    ("chart-dark-phone", "/chart/north/N003", 390, 844, "dark"),
    ("wheel", "/wheel", 1200, 600, "dark"),
)
MOVING = ("moving", "/chart/north/N003", 1100, 720, "light")  # the picture of the README
FRAMES, EVERY_MS, LAST_MS = 12, 800, 2_000
BARS = 30  # the least number of bars in the chart
GOES_ON = re.compile(r"the worker goes on at (http://\S+);")


def main() -> int:
    """Start the demo, wait for bars, take the screenshots, stop the demo."""
    executable = chromium()
    if executable is None:
        sys.stderr.write(f"{MISSING}\n")
        return 2
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as out:
            command = [sys.executable, "-m", "app", "demo", "--seconds", "10"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            demo = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            found = until_sync(lambda: GOES_ON.search(log.read_text()), deadline=120.0, what="the demo continues")
            assert found is not None
            take(found[1], executable)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
    return 0


def take(base: str, executable: str) -> None:
    """Take all screenshots."""

    def enough() -> bool:
        with urllib.request.urlopen(f"{base}/api/v1/bars/north/N003?limit={BARS}&format=columns", timeout=10) as answer:
            return bool(answer.read().count(b"],[") >= BARS - 1)

    until_sync(enough, deadline=600.0, every=2.0, what=f"{BARS} bars")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        for name, path, width, height, scheme in SHOTS:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]  # a literal type
            page = context.new_page()
            page.goto(base + path)
            until_sync(lambda page=page: settled(page), deadline=30.0, what=name)  # type: ignore[misc]  # bound now
            page.wait_for_timeout(8_000)  # for rates, and for the end of a window
            page.screenshot(path=PICTURES / f"{name}.png")
            sys.stdout.write(f"{PICTURES / name}.png\n")
            context.close()
        name, path, width, height, scheme = MOVING
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(base + path)
        until_sync(lambda: settled(page), deadline=30.0, what=name)
        frames = []
        for _ in range(FRAMES):
            frames.append(page.screenshot())
            page.wait_for_timeout(EVERY_MS)
        (PICTURES / f"{name}.png").write_bytes(moving(frames, EVERY_MS, LAST_MS))
        sys.stdout.write(f"{PICTURES / name}.png\n")
        browser.close()


def settled(page: Page) -> bool:
    """Whether the page is live and loaded."""
    return page.inner_text("#pill") == "live" and page.inner_text("#state") != "loading"


if __name__ == "__main__":
    sys.exit(main())
