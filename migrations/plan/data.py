"""JSON and YAML of plan files, read strictly: a key given twice is an error, and YAML text stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from migrations.errors import PlanError


class _Yaml(yaml.SafeLoader):
    """A safe loader that rejects duplicate keys and reads 010, 12:30, no and 2020-01-01 as text, as YAML 1.2 does."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # of the resolvers for YAML 1.1, those that 1.2 keeps
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in {"null", "merge"}]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Yaml.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    return _unique(
        (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True)) for key, value in node.value
    )


_Yaml.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_data(path: Path, text: str) -> Any:
    """The content of a JSON or YAML file; the suffix of `path` tells which. Raises `PlanError`."""
    try:
        if path.suffix.lower() == ".json":
            return json.loads(text, object_pairs_hook=_unique)
        return yaml.load(text, _Yaml)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise PlanError(f"{path}: {' '.join(str(error).split())}") from None


def texts(path: Path, field: str, values: Any) -> dict[str, str]:
    """A mapping of names to text. Numbers and booleans may be without quotes. Raises `PlanError` for other values."""
    if not isinstance(values or {}, dict):
        raise PlanError(f"{path}: {field}: must be a mapping of names to values")
    mapping = {}
    for key, value in (values or {}).items():
        if not isinstance(value, str | int | float):
            raise PlanError(f"{path}: {field}.{key}: {value!r} must be text, a number, true or false")
        mapping[str(key)] = str(value).lower() if isinstance(value, bool) else str(value)
    return mapping


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping of pairs. Raises `ValueError` if a key is given twice."""
    mapping: dict[Any, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"{key} is given twice")
        mapping[key] = value
    return mapping
