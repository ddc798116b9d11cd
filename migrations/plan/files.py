"""Plans from files: `.ksql` and `.sql` text, JSON, YAML and Python modules; a single file or a directory of them."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from migrations.errors import PlanError
from migrations.ksql.errors import KsqlError
from migrations.plan.data import parse_data, texts
from migrations.plan.head import split_sections
from migrations.plan.model import KsqlText, Plan, build_plan

VERSIONS = Path(__file__).parents[1] / "versions"  # the plan of the running application
SHIPPED = {name: VERSIONS.parent / "shipped" / f"{name}.py" for name in ("bar1m", "history")}  # further plans by name
TEXT = {".ksql", ".sql"}
DATA = {".json", ".yaml", ".yml"}
SUFFIXES = TEXT | DATA | {".py"}
_NUMBERED = re.compile(r"(?P<four>[0-9]{4})_.+|[Vv](?P<six>[0-9]{6})__.+")
_loaded = count()
_FIELDS = {"name", "properties", "variables", "statements", "destructive"}
_DESTRUCTIVE = re.compile(r"^[ \t]*--[ \t]*destructive:[ \t]*yes[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass
class _PlanFile:
    """The content of one file. `group` is the first part of its statements' ids.

    `variables` and `properties` are for all files of the plan.
    """

    path: Path
    group: str
    variables: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    ksql: list[KsqlText] = field(default_factory=list)


def load(path: Path | None, variables: Mapping[str, str]) -> Plan:
    """Read a plan: a directory of `0001_*` files, one file, or a shipped plan by name. None: the running application's plan.

    `variables` take precedence over those of the files. Raises `PlanError` with the file and the position.
    """
    path = path or VERSIONS
    if not path.exists():
        path = SHIPPED.get(str(path), path)
    if path.is_dir():
        paths = [file for file in path.iterdir() if _in_plan(file)]
        if not paths:
            raise PlanError(f"{path}: no plan in there; its files are named like 0001_ticks.ksql")
        files = [_read(file, variables) for file in _numbered(paths)]
    elif path.is_file():
        files = [_read(path, variables)]
    else:
        raise PlanError(f"{path}: no such file or directory, nor a shipped plan ({', '.join(SHIPPED)})")
    values: dict[str, str] = {}
    properties: dict[str, str] = {}
    for file in files:
        values |= file.variables
        for key, value in file.properties.items():
            if properties.setdefault(key, value) != value:
                raise PlanError(f"{file.path}: {key}={value}, but another file of the plan says {properties[key]}")
    ksql = [text for file in files for text in file.ksql]
    return build_plan(path.stem if path.is_file() else path.name, ksql, {**values, **variables}, properties, given=variables)


def _numbered(paths: Iterable[Path]) -> list[Path]:
    """Files named like `0001_ticks.ksql`, or like `V000001__ticks.sql`, by number. Raises `PlanError` for gaps and duplicates.

    The second form is that of ksql-migrations, which allows gaps.
    """
    by_number: dict[int, Path] = {}
    forms = {}
    for path in sorted(paths):
        found = _NUMBERED.fullmatch(path.stem)
        if found is None:
            raise PlanError(f"{path}: must be named like 0001_ticks{path.suffix} or V000001__ticks{path.suffix}")
        digits = found["four"] or found["six"]
        forms[bool(found["four"])] = path
        if int(digits) in by_number:
            raise PlanError(f"{path}: the number {digits} is that of {by_number[int(digits)].name} too")
        by_number[int(digits)] = path
    if len(forms) > 1:
        raise PlanError(f"{forms[True]}, {forms[False].name}: name all files of a plan in one of these two ways")
    for expected, (number, path) in enumerate(sorted(by_number.items()), 1):
        if number != expected and True in forms:
            raise PlanError(f"{path}: number {expected:04} is missing before it")
    return [path for _, path in sorted(by_number.items())]


def next_file(directory: Path, name: str) -> Path:
    """The path of the next file of a plan, named as its files are. Raises `PlanError`."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise PlanError(f"{name}: a file's name is made of letters, digits and _")
    if not directory.is_dir():
        raise PlanError(f"{directory}: no such directory")
    paths = _numbered(file for file in directory.iterdir() if _in_plan(file))
    last = _NUMBERED.fullmatch(paths[-1].stem) if paths else None
    if last is not None and last["six"]:
        return directory / f"V{int(last['six']) + 1:06}__{name}.sql"
    return directory / f"{int(last['four']) + 1 if last is not None else 1:04}_{name}.ksql"


def _in_plan(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(("_", "."))


def _read(path: Path, variables: Mapping[str, str]) -> _PlanFile:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise PlanError(f"{path}: a plan is a file of {', '.join(sorted(SUFFIXES))}")
    if suffix == ".py":
        return _from_module(path, variables)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error})") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: is not UTF-8, at byte {error.start}: save it as UTF-8") from None
    file = _from_text(path, text) if suffix in TEXT else _from_data(path, parse_data(path, text))
    if not file.ksql:
        raise PlanError(f"{path}: holds no statement: write one into it, or remove it")
    return file


def _from_text(path: Path, text: str) -> _PlanFile:
    """A file of statements, perhaps with SET and DEFINE before and between them."""
    try:
        found = split_sections(text)
    except KsqlError as error:
        raise PlanError(f"{path}: {error}") from None
    destructive = _DESTRUCTIVE.search(text) is not None
    ksql = [
        KsqlText(
            one.text,
            str(path),
            path.stem,
            destructive=destructive,
            properties=one.properties,
            variables=one.variables,
            in_lines=True,
        )
        for one in found
    ]
    return _PlanFile(path, path.stem, ksql=ksql)  # its variables are those of its statements, and of no other file


def _from_data(path: Path, data: Any) -> _PlanFile:
    if not isinstance(data, dict) or not isinstance(data.get("statements"), list):
        raise PlanError(f"{path}: must be a mapping with a list of `statements`")
    if extra := sorted(map(str, data.keys() - _FIELDS)):
        raise PlanError(f"{path}: {', '.join(extra)}: not among {', '.join(sorted(_FIELDS))}")
    file = _PlanFile(
        path,
        str(data.get("name") or path.stem),
        texts(path, "variables", data.get("variables")),
        texts(path, "properties", data.get("properties")),
    )
    destructive = str(data.get("destructive", "")).lower() in {"true", "yes"}
    for number, entry in enumerate(data["statements"], 1):
        origin = f"{path}: statements[{number}]"
        if isinstance(entry, str):
            file.ksql.append(KsqlText(entry, origin, file.group, destructive=destructive))
        elif isinstance(entry, dict) and isinstance(entry.get("ksql"), str) and entry.keys() <= {"id", "ksql"}:
            statement_id = entry.get("id", "")
            if "id" in entry and not (isinstance(statement_id, str) and statement_id.strip()):
                raise PlanError(f"{origin}: id: {statement_id!r} must be text (in quotes, where it is a number)")
            file.ksql.append(KsqlText(entry["ksql"], origin, file.group, statement_id, destructive))
        else:
            raise PlanError(f"{origin}: must be KSQL text, or a mapping of `ksql` and perhaps `id`")
    return file


def _from_module(path: Path, variables: Mapping[str, str]) -> _PlanFile:
    """A module with `statements()`, which returns objects whose `str` is KSQL.

    If it takes an argument it gets the variables, and may return none where they turn its statements off.
    `PROPERTIES`, `VARIABLES` and `DESTRUCTIVE` are optional.
    """
    name = f"migrations.plan_{path.stem}_{next(_loaded)}"  # several threads may load the same file
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PlanError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and others look up annotations there while the module runs
    try:
        spec.loader.exec_module(module)
        statements = getattr(module, "statements", None)
        by_variables = callable(statements) and bool(inspect.signature(statements).parameters)
        own = texts(path, "VARIABLES", getattr(module, "VARIABLES", None))
        result = statements(*([{**own, **variables}] if by_variables else [])) if callable(statements) else None
        ksql = None if result is None or isinstance(result, str) else [str(statement) for statement in result]
    except (Exception, SystemExit) as error:
        raise PlanError(_error_in_module(path, error)) from error
    finally:
        del sys.modules[name]
    if ksql is None:
        raise PlanError(f"{path}: must define `def statements() -> list`, which gives the statements")
    if not ksql and not by_variables:
        raise PlanError(f"{path}: holds no statement")
    return _PlanFile(
        path,
        path.stem,
        own,
        texts(path, "PROPERTIES", getattr(module, "PROPERTIES", None)),
        [
            KsqlText(text, f"{path}: statement {number}", path.stem, destructive=getattr(module, "DESTRUCTIVE", None) is True)
            for number, text in enumerate(ksql, 1)
        ],
    )


def _error_in_module(path: Path, error: BaseException) -> str:
    """The error of a module in one line, with the last line of that file in the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    kind = "" if isinstance(error, KsqlError) else f"{type(error).__name__}: "
    return f"{path}{f', line {lines[-1]}' if lines else ''}: {kind}{' '.join(str(error).split())}"
