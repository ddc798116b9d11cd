"""How properties are tried: no clock decides whether one holds, in whatever profile."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tests
from tests.support.examples import PROFILES

SAID = """
from hypothesis import HealthCheck, settings
from tests.support.examples import use_profile
use_profile()
one = settings(max_examples=7)
assert (one.deadline, one.max_examples) == (None, 7)
assert HealthCheck.too_slow in settings().suppress_health_check
"""


@pytest.mark.parametrize("profile", PROFILES)
def test_no_property_has_a_time_limit(profile: str) -> None:
    environment = {**os.environ, "HYPOTHESIS_PROFILE": profile}
    subprocess.run([sys.executable, "-c", SAID], check=True, env=environment, cwd=Path(tests.__file__).parents[1])


def test_no_module_gives_a_property_a_time_limit_of_its_own() -> None:
    """A list of health checks to suppress stands in place of the profile's, so it must have `too_slow` as well."""
    found = []
    for path in Path(tests.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "settings":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                checks = given.get("suppress_health_check", "too_slow")
                if given.get("deadline", "None") != "None" or not ("too_slow" in checks or checks == "list(HealthCheck)"):
                    found.append(f"{path.name}:{call.lineno}: {given}")
    assert not found
