"""The reference and the judge of the crash test share no code with the application that they judge."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.support.worker import ROOT

ALLOWED = sys.stdlib_module_names | {"tests"} | {"fastavro", "google", "grpc_tools"}  # the libraries that decode bars


def imported(path: Path) -> set[str]:
    """The names of all modules that a file imports anywhere, also for types or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def everything_behind(module: str) -> set[str]:
    """The names of all modules that a module of the tests imports, directly or through other modules of the tests."""
    found, waiting = set[str](), [module]
    while waiting:
        path = ROOT.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path.is_file():
            names = imported(path) - found
            found |= names
            waiting += [name for name in names if name.startswith("tests.")]
    return found


@pytest.mark.parametrize("module", ["tests.support.reference", "tests.support.reference_records", "tests.chaos.judge"])
def test_who_judges_the_application_imports_nothing_of_it(module: str) -> None:
    assert {name for name in everything_behind(module) if name.split(".")[0] not in ALLOWED} == set()


def test_an_import_of_the_application_behind_other_modules_is_found() -> None:
    assert {name.split(".")[0] for name in everything_behind("tests.chaos.run")} >= {"app", "aiokafka"}
    assert "tables.bars" in everything_behind("tests.chaos.run")
