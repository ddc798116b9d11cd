"""How many examples Hypothesis tries. The environment's HYPOTHESIS_PROFILE chooses: `check`, `full` (default) or `thorough`.

`make check` uses `check`, `make test` uses `full`; `thorough` takes minutes for each property of the engine.
"""

from __future__ import annotations

import os

from hypothesis import settings

CHECK_DEFAULT = 20  # examples of a property that names no number
PROFILES = ("check", "full", "thorough")


def profile() -> str:
    """The name of the profile; raises `ValueError` for another word."""
    name = os.environ.get("HYPOTHESIS_PROFILE") or "full"
    if name not in PROFILES:
        raise ValueError(f"HYPOTHESIS_PROFILE={name}: must be one of {', '.join(PROFILES)}")
    return name


def examples(*, check: int, full: int, thorough: int) -> int:
    """The number of examples under the current profile."""
    return {"check": check, "full": full, "thorough": thorough}[profile()]


def use_profile() -> None:
    """Give properties without a number of their own fewer examples under `check`, and Hypothesis' default otherwise."""
    if profile() == "check":
        settings.register_profile("check", max_examples=CHECK_DEFAULT)
        settings.load_profile("check")
