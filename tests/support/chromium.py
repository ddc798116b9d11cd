"""Where Chromium is on this machine: the tests of the page, its pictures and its benchmark look at it with that."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = "no Chromium: install one, or name its executable in BARWHEEL_CHROMIUM"


def chromium() -> str | None:
    """The path of an executable; None where there is none. `BARWHEEL_CHROMIUM` is a path or a name on PATH.

    A browser that is named and not there is still named, so that its absence fails instead of being passed over.
    """
    named = os.environ.get("BARWHEEL_CHROMIUM")
    if named:
        return shutil.which(named) or named
    return next((found for name in NAMES if (found := shutil.which(name))), None)
