"""Plans out of files: `.ksql` and `.sql` text, JSON, YAML, and Python modules; a directory of them, or one as a bundle."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from migrations.errors import PlanError
from migrations.plan import Plan, Source, in_order, make

VERSIONS = Path(__file__).parent / "versions"
TEXT = {".ksql", ".sql"}
DATA = {".json", ".yaml", ".yml"}
SUFFIXES = TEXT | DATA | {".py"}
_FIELDS = {"name", "properties", "variables", "statements"}


class _File:
    """What one file gives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.variables: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.sources: list[Source] = []


def load(path: Path | None, variables: Mapping[str, str]) -> Plan:
    """Read a directory of `0001_*` files, or one file; None is the plan that is shipped.

    `variables` stand above those that the files give. Raises `PlanError`, which names the file and the place.
    """
    path = path or VERSIONS
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(("_", "."))]
        if not found:
            raise PlanError(f"{path}: no plan in there; its files are named like 0001_ticks.ksql")
        files = [_read(file) for file in in_order(found)]
    elif path.is_file():
        files = [_read(path)]
    else:
        raise PlanError(f"{path}: no such file or directory")
    given: dict[str, str] = {}
    properties: dict[str, str] = {}
    for file in files:
        given |= file.variables
        for key, value in file.properties.items():
            if properties.setdefault(key, value) != value:
                raise PlanError(f"{file.path}: {key}={value}, but another file of the plan says {properties[key]}")
    sources = [source for file in files for source in file.sources]
    return make(path.stem if path.is_file() else path.name, sources, {**given, **variables}, properties)


def _read(path: Path) -> _File:
    file = _File(path)
    if path.suffix == ".py":
        _from_module(file)
        return file
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: cannot be read ({error})") from None
    if path.suffix in TEXT:
        file.sources.append(Source(text, str(path), file.name))
    elif path.suffix in DATA:
        _from_data(file, text)
    else:
        raise PlanError(f"{path}: a plan is a file of {', '.join(sorted(SUFFIXES))}")
    return file


def _from_data(file: _File, text: str) -> None:
    try:
        data = yaml.safe_load(text)  # which reads JSON too
    except yaml.YAMLError as error:
        raise PlanError(f"{file.path}: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not isinstance(data.get("statements"), list):
        raise PlanError(f"{file.path}: must be a mapping with a list of `statements`")
    if extra := sorted(map(str, data.keys() - _FIELDS)):
        raise PlanError(f"{file.path}: {', '.join(extra)}: not among {', '.join(sorted(_FIELDS))}")
    file.name = str(data.get("name", file.name))
    file.variables = _texts(file, data, "variables")
    file.properties = _texts(file, data, "properties")
    for number, entry in enumerate(data["statements"], 1):
        where = f"{file.path}: statements[{number}]"
        if isinstance(entry, str):
            file.sources.append(Source(entry, where, file.name))
        elif isinstance(entry, dict) and isinstance(entry.get("ksql"), str) and entry.keys() <= {"id", "ksql"}:
            file.sources.append(Source(entry["ksql"], where, file.name, str(entry.get("id", ""))))
        else:
            raise PlanError(f"{where}: must be KSQL text, or a mapping of `ksql` and perhaps `id`")


def _texts(file: _File, data: Mapping[str, Any], field: str) -> dict[str, str]:
    found = data.get(field) or {}
    if not isinstance(found, dict):
        raise PlanError(f"{file.path}: {field}: must be a mapping of names to values")
    return {str(key): str(value) for key, value in found.items()}


def _from_module(file: _File) -> None:
    """`statements()` gives objects whose `str` is KSQL; `PROPERTIES` and `VARIABLES` are optional."""
    module = _import(file.path)
    statements = getattr(module, "statements", None)
    if not callable(statements):
        raise PlanError(f"{file.path}: must define `def statements() -> list`")
    file.properties = {str(key): str(value) for key, value in getattr(module, "PROPERTIES", {}).items()}
    file.variables = {str(key): str(value) for key, value in getattr(module, "VARIABLES", {}).items()}
    for number, found in enumerate(statements(), 1):
        file.sources.append(Source(str(found), f"{file.path}: statement {number}", file.name))


def _import(path: Path) -> ModuleType:
    name = f"migrations.plan_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PlanError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PlanError(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        del sys.modules[name]
    return module
