"""Pages in a real browser, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.chromium import chromium
from tests.support.ticks import Tick, produce
from tests.support.waiting import until_sync
from tests.support.worker import Worker

WIDTHS = {"wide": (2560, 1300), "desktop": (1280, 900), "phone": (390, 844)}


Open = Callable[..., "Visit"]  # of a path, and maybe a width and a scheme


def send(site: Worker, ticks: Iterable[Tick]) -> None:
    """Send ticks to the worker of a page, from another thread: playwright runs its event loop in this one."""
    with ThreadPoolExecutor() as pool:
        pool.submit(produce, site.bootstrap, site.ticks_topic, ticks).result()


class Visit:
    """A page in a browser of its own, and the errors that it logged."""

    def __init__(self, browser: Browser, worker: Worker, width: str, scheme: str, port: int | None = None) -> None:
        """`port`: of a relay in front of the worker."""
        size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
        self._context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # a literal type
        self.page: Page = self._context.new_page()
        self.wrong: list[str] = []
        self._base = f"http://127.0.0.1:{port or worker.settings['web_port']}"
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)

    def open(self, path: str) -> None:
        """Open a path, and wait until the page is live and has loaded."""
        self.page.goto(self._base + path)
        self.wait(lambda: self.text("#pill") == "live", "live")
        self.wait(lambda: self.text("#state") != "loading", "loaded")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition by polling: the page's policy forbids playwright's own way, which evaluates scripts."""
        until_sync(condition, deadline=30.0, every=0.05, what=f"{what}; wrong: {self.wrong}")

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return self.page.inner_text(selector)

    def focused(self) -> str:
        """Tag and id of the focused element."""
        return str(self.page.evaluate("document.activeElement.tagName + '#' + document.activeElement.id"))

    def close(self) -> None:
        """Close the browser context. A request that a test has routed may be under way."""
        self.page.unroute_all(behavior="ignoreErrors")
        self._context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a module."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium())
        yield found
        found.close()


# `site` before `browser`: playwright runs its event loop in this thread, and a site that sends ticks needs one of its own


@pytest.fixture
def visit(site: Worker, browser: Browser) -> Iterator[Open]:
    """Opens pages of the module's `site`."""
    with _visits(site, browser, []) as opened:
        yield opened


@pytest.fixture
def visit_without_errors(site: Worker, browser: Browser) -> Iterator[Open]:
    """Opens pages of the module's `site`, none of which may log an error."""
    made: list[Visit] = []
    with _visits(site, browser, made) as opened:
        yield opened
    assert [wrong for one in made for wrong in one.wrong] == []


@contextmanager
def _visits(site: Worker, browser: Browser, made: list[Visit]) -> Iterator[Open]:
    """Opens pages, notes them in `made`, and closes them at the end."""
    yield _opening(browser, site, made)
    for one in made:
        one.close()


def _opening(browser: Browser, site: Worker, made: list[Visit]) -> Open:
    def new(path: str, width: str = "desktop", scheme: str = "light") -> Visit:
        made.append(Visit(browser, site, width, scheme))
        made[-1].open(path)
        return made[-1]

    return new
