"""Runs every test of the engine with both of its cores, and takes the shell's settings away where a test reads its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings.settings import PREFIX
from tables import native

# The files whose tests make engines, or what is done with their windows.
BOTH_CORES = (
    *("test_bar_rules", "test_beyond_simulation", "test_checkpoint_plan", "test_clock_steps"),
    *("test_closing_rules", "test_early_checkpoints", "test_emission", "test_engine_aiokafka"),
    *("test_engine_batches", "test_engine_beyond", "test_engine_properties", "test_engine_real_data"),
    *("test_extreme_settings", "test_gaps", "test_inspection", "test_many_names", "test_partial_bars"),
    *("test_prices", "test_real_data_beyond", "test_recovery_checks", "test_recovery_simulation"),
    *("test_recovery_takes_up", "test_table_views", "test_task", "test_tick_rules", "test_timers"),
    "test_truncation_simulation",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask for both cores where the file is one of those."""
    if metafunc.module.__name__.rpartition(".")[2] in BOTH_CORES:
        metafunc.parametrize("core", ["python", "native"], indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def core(request: pytest.FixtureRequest) -> Iterator[str]:
    """The core of the engines that are made without one."""
    kind = getattr(request, "param", "python")
    if kind == "native" and native.NATIVE is None:
        pytest.skip(f"the native core is not built: {native.MISSING}")
    native.default_to(native.ON if kind == "native" else native.OFF)
    yield kind
    native.default_to(native.OFF)


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of the surrounding shell and directory, and the variables of the tests, which look like them."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
