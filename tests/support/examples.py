"""How many examples Hypothesis tries. The environment's HYPOTHESIS_PROFILE chooses: `check`, `full` (default) or `thorough`.

`make check` uses `check`, `make test` uses `full`; `thorough` takes minutes for each property of the engine.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

DEFAULTS = {"check": 20, "full": 50}  # examples of a property that names no number; `thorough` leaves Hypothesis' own
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
    """Give properties without a number of their own the number of examples of the current profile.

    No property has a time limit: on a busy machine one example may take as long as many do elsewhere. `too_slow` is one, too.
    """
    usual = settings()
    number = DEFAULTS.get(profile(), usual.max_examples)
    slow = {*usual.suppress_health_check, HealthCheck.too_slow}
    settings.register_profile(profile(), max_examples=number, deadline=None, suppress_health_check=slow)
    settings.load_profile(profile())
