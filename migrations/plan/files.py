"""Plans out of files: `.ksql` and `.sql` text, JSON, YAML, and Python modules; a directory of them, or one as a bundle."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from migrations.errors import PlanError
from migrations.ksql.errors import KsqlError
from migrations.plan.model import Plan, Source, in_order, make

VERSIONS = Path(__file__).parents[1] / "versions"
SHIPPED = {path.stem: path for path in sorted((VERSIONS.parent / "shipped").glob("*.yaml"))}  # by name
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
    """Read a directory of `0001_*` files, one file, or a shipped plan by its name; None is that of the running application.

    `variables` stand above those that the files give. Raises `PlanError`, which names the file and the place.
    """
    path = path or VERSIONS
    if not path.exists():
        path = SHIPPED.get(str(path), path)
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(("_", "."))]
        if not found:
            raise PlanError(f"{path}: no plan in there; its files are named like 0001_ticks.ksql")
        files = [_read(file) for file in in_order(found)]
    elif path.is_file():
        files = [_read(path)]
    else:
        raise PlanError(f"{path}: no such file or directory, nor a shipped plan ({', '.join(SHIPPED)})")
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
    file, suffix = _File(path), path.suffix.lower()
    if suffix not in SUFFIXES:
        raise PlanError(f"{path}: a plan is a file of {', '.join(sorted(SUFFIXES))}")
    if suffix == ".py":
        _from_module(file)
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{path}: cannot be read ({error})") from None
        if suffix in TEXT:
            file.sources.append(Source(text, str(path), file.name))
        else:
            _from_data(file, _parsed(path, text))
    if not file.sources:
        raise PlanError(f"{path}: holds no statement")
    return file


class _Yaml(yaml.SafeLoader):
    """As safe, refuses a key that is given twice, and reads 010, 12:30, no and 2020-01-01 as the texts that they are."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # of YAML 1.1 only what 1.2 has left
        first: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in {"null", "merge"}]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Yaml.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    return _once(
        (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True)) for key, value in node.value
    )


_Yaml.add_constructor("tag:yaml.org,2002:map", _mapping)


def _once(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping of pairs; raises `ValueError` where a key is given twice, of which only the last would count."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} is given twice")
        found[key] = value
    return found


def _parsed(path: Path, text: str) -> Any:
    try:
        if path.suffix.lower() == ".json":
            return json.loads(text, object_pairs_hook=_once)
        return yaml.load(text, _Yaml)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise PlanError(f"{path}: {' '.join(str(error).split())}") from None


def _from_data(file: _File, data: Any) -> None:
    if not isinstance(data, dict) or not isinstance(data.get("statements"), list):
        raise PlanError(f"{file.path}: must be a mapping with a list of `statements`")
    if extra := sorted(map(str, data.keys() - _FIELDS)):
        raise PlanError(f"{file.path}: {', '.join(extra)}: not among {', '.join(sorted(_FIELDS))}")
    file.name = str(data.get("name") or file.name)
    file.variables = _texts(file, "variables", data.get("variables"))
    file.properties = _texts(file, "properties", data.get("properties"))
    for number, entry in enumerate(data["statements"], 1):
        where = f"{file.path}: statements[{number}]"
        if isinstance(entry, str):
            file.sources.append(Source(entry, where, file.name))
        elif isinstance(entry, dict) and isinstance(entry.get("ksql"), str) and entry.keys() <= {"id", "ksql"}:
            given = entry.get("id", "")
            if "id" in entry and not (isinstance(given, str) and given.strip()):
                raise PlanError(f"{where}: id: {given!r} must be text (in quotes, where it is a number)")
            file.sources.append(Source(entry["ksql"], where, file.name, given))
        else:
            raise PlanError(f"{where}: must be KSQL text, or a mapping of `ksql` and perhaps `id`")


def _texts(file: _File, field: str, found: Any) -> dict[str, str]:
    """Values as a server is sent them; a number or a truth value need not stand in quotes."""
    if not isinstance(found or {}, dict):
        raise PlanError(f"{file.path}: {field}: must be a mapping of names to values")
    texts = {}
    for key, value in (found or {}).items():
        if not isinstance(value, str | int | float):
            raise PlanError(f"{file.path}: {field}.{key}: {value!r} must be text, a number, true or false")
        texts[str(key)] = str(value).lower() if isinstance(value, bool) else str(value)
    return texts


def _from_module(file: _File) -> None:
    """`statements()` gives objects whose `str` is KSQL; `PROPERTIES` and `VARIABLES` are optional."""
    name = f"migrations.plan_{file.path.stem}"
    spec = importlib.util.spec_from_file_location(name, file.path)
    if spec is None or spec.loader is None:
        raise PlanError(f"{file.path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where annotations are looked up while it runs
    try:
        spec.loader.exec_module(module)
        statements = getattr(module, "statements", None)
        found = statements() if callable(statements) else None
        texts = None if found is None or isinstance(found, str) else [str(one) for one in found]
    except (Exception, SystemExit) as error:
        raise PlanError(_raised(file.path, error)) from error
    finally:
        del sys.modules[name]
    if texts is None:
        raise PlanError(f"{file.path}: must define `def statements() -> list`, which gives the statements")
    file.properties = _texts(file, "PROPERTIES", getattr(module, "PROPERTIES", None))
    file.variables = _texts(file, "VARIABLES", getattr(module, "VARIABLES", None))
    file.sources = [Source(text, f"{file.path}: statement {number}", file.name) for number, text in enumerate(texts, 1)]


def _raised(path: Path, error: BaseException) -> str:
    """What a module raised, in one line, with the last line of that file on the way there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    kind = "" if isinstance(error, KsqlError) else f"{type(error).__name__}: "
    return f"{path}{f', line {lines[-1]}' if lines else ''}: {kind}{' '.join(str(error).split())}"
