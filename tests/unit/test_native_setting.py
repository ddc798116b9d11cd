"""Which core an engine has, and what `native=on` says where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings
from app.settings.types import Native
from app.worker import check_native
from tables import native
from tables.config import EngineConfig
from tables.engine import Engine


def test_on_refuses_a_start_without_the_compiled_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "NATIVE", None)
    monkeypatch.setattr(native, "MISSING", "No module named 'tables._native'")
    with pytest.raises(SettingsError, match=r"native=on: .*tables\._native.*C compiler.*native=auto"):
        check_native(Settings.load(native=Native.on))
    check_native(Settings.load(native=Native.auto))
    assert Engine(EngineConfig(), native="auto").core.name == "python"


@pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")
@pytest.mark.parametrize("config", [{"price": "mid"}, {"time_unit": "ns"}, {"window_size": 1 << 60}])
def test_what_the_native_core_does_not_know_runs_in_python(config: dict[str, object]) -> None:
    assert Engine(EngineConfig(**config), native="on").core.name == "python"  # type: ignore[arg-type]  # one of the fields
    assert Engine(EngineConfig(), native="on").core.name == "native"
    assert Engine(EngineConfig(), native="off").core.name == "python"


@pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")
def test_a_core_that_was_built_from_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copy(native.HERE / "_native.pyx", tmp_path)
    shutil.copytree(native.HERE / "csrc", tmp_path / "csrc")
    monkeypatch.setattr(native, "HERE", tmp_path)
    assert native._load() == (native._native, "")
    (tmp_path / "csrc" / "windows.pxi").write_text("another")
    assert native._load() == (None, "it was built from other sources: run `make native`")
