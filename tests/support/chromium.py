"""Find Chromium, which the tests of the pages, the screenshots and the benchmark of the page use."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = "no Chromium: install one, or name its executable in BARWHEEL_CHROMIUM"


def chromium() -> str | None:
    """The path of an executable; None if there is none. `BARWHEEL_CHROMIUM` is a path or a name on PATH.

    If the named browser does not exist, its name is returned all the same, so that tests fail instead of being skipped.
    """
    named = os.environ.get("BARWHEEL_CHROMIUM")
    if named:
        return shutil.which(named) or named
    return next((found for name in NAMES if (found := shutil.which(name))), None)
