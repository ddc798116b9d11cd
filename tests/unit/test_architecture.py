"""The contracts of pyproject.toml hold and each of them can fail; no module and no class has outgrown its subject."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.worker import ROOT

PACKAGES = ("app", "agents", "tables", "migrations")
MODULE_LINES, CLASS_LINES = 300, 210


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=directory, env={"COLUMNS": "200"}, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line", "contract", "for_types"),
    [
        ("tables/wheel.py", "import asyncio", "tables are pure", False),
        ("tables/scopes.py", "from app.settings import Settings", "tables are pure", True),
        ("agents/ticks.py", "from app.application import BarwheelApp", "agents know Kafka and the settings", True),
        ("app/kafka/reader.py", "from tables.bars import Bar", "app.kafka knows brokers, not bars", True),
        ("app/registry/client.py", "from app.kafka.cluster import Cluster", "app.registry knows the settings", True),
        ("app/readmodel/store.py", "from app.web.context import WebContext", "The rooms of app", False),
        ("migrations/errors.py", "from app.settings import Settings", "migrations know Kafka", False),
        (
            "migrations/ksql/types.py",
            "from migrations.plan.model import Plan",
            "migrations.ksql imports nothing of ours",
            False,
        ),
        ("migrations/server/client.py", "from migrations.run.lock import ApplyLock", "The rooms of migrations", True),
        ("tables/window.py", "from tables.engine import Engine", "No import circles", True),
        ("app/web/models/bars.py", "from app.web.context import WebContext", "No import circles", False),
    ],
)
def test_an_import_against_the_contracts_is_found(
    tmp_path: Path,
    module: str,
    line: str,
    contract: str,
    for_types: bool,  # noqa: FBT001  # a table
) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.js", "*.css"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    broken = tmp_path / module
    added = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}\n" if for_types else f"{line}\n"
    broken.write_text(f"{broken.read_text()}\n{added}")
    answer = lint_imports(tmp_path)
    assert answer.returncode == 1
    assert [text for text in answer.stdout.splitlines() if text.startswith(contract) and " BROKEN" in text]


def test_every_package_of_app_has_its_place_in_the_contracts() -> None:
    answer = lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout
    assert "Contracts: 9 kept, 0 broken." in answer.stdout


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_and_no_class_has_outgrown_its_subject(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES
    classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    lines = {node.name: (node.end_lineno or 0) - node.lineno for node in classes}
    assert {name: count for name, count in lines.items() if count > CLASS_LINES} == {}
