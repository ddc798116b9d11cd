"""The reading of files from the options of `app replay`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Any

from app.errors import InputError
from app.settings import Settings
from app.tickfiles import layouts
from app.tickfiles.reading import UNIT_BY_DIGITS, UNITS_PER_SECOND, Names, Reading
from app.tickfiles.rows import parse_columns
from tables.layouts.fields import TickFields, parse_fields

_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "blank": " ", "space": " "}


def reading_of(settings: Settings, options: Mapping[str, Any], origin_ms: int) -> Reading:
    """Raises `InputError` for an option that makes no sense; it says which."""
    made: dict[str, Any] = {"columns": None, "broker": None, "header": False}
    if options["layout"]:
        layouts.check(options["layout"], options, settings.price.value)
        made |= layouts.values(options["layout"])
    made |= {"symbol": options["symbol"], "time_unit": settings.time_unit.value, "origin_ms": origin_ms}
    made |= {"broker": options["broker_name"] or made["broker"], "header": options["header"] or made["header"]}
    for option, (target, parse) in _VALUES.items():
        if options[option]:
            made[target] = parse(options[option])
    if options["columns"]:
        made |= _columns(options["columns"])
    if made.get("decimal") == made.get("delimiter", ","):
        made["delimiter"] = ";"  # as spreadsheets do
    unit = settings.time_unit.value
    if origin_ms * UNITS_PER_SECOND[unit] % 1000:
        raise InputError(f"--origin {options['origin']}: is not a whole second, but time_unit={unit}")
    return Reading(**made)


UNITS = (*UNITS_PER_SECOND, UNIT_BY_DIGITS)


def _columns(text: str) -> dict[str, Any]:
    if "=" not in text:
        return {"columns": parse_columns(text), "fields": None}
    try:
        fields = parse_fields(text)
    except ValueError as error:
        raise InputError(f"--columns: {error}") from None
    made: dict[str, Any] = {"columns": None, "fields": _names(fields), "optional": False}
    return made | {name: fields.constant(name) for name in ("broker", "symbol") if fields.constant(name)}


def _names(fields: TickFields) -> dict[str, Names]:
    paths = {target: fields.path(target) for target in fields.sources}
    return {target: (path.names,) for target, path in paths.items() if path is not None}


def _file_name(text: str) -> str:
    """The pattern for `{symbol}-ticks-*.csv`."""
    if text.count("{symbol}") != 1:
        raise InputError(f"--symbol-from-name {text}: must hold {{symbol}} once, as in '{{symbol}}-ticks-*.csv'")
    before, after = (re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in text.split("{symbol}"))
    return f"{before}(?P<symbol>.+?){after}$"


def _delimiter(text: str) -> str:
    found = _DELIMITERS.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n':
        raise InputError(f"--delimiter {text}: must be one character, or tab")
    return found


def _scale(text: str) -> Decimal:
    try:
        scale = Decimal(text)
    except DecimalException:
        scale = Decimal(0)
    if not scale.is_finite() or scale <= 0:
        raise InputError(f"--scale {text}: must be a number above 0 that prices are multiplied with, such as 0.0001")
    return scale


# what the value of an option becomes: the name in `Reading`, and the function that parses it
_VALUES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "unit": ("file_unit", str),
    "time_format": ("time_formats", tuple),
    "zone": ("zone", str),
    "delimiter": ("delimiter", _delimiter),
    "decimal": ("decimal", str),
    "scale": ("scale", _scale),
    "symbol_from_name": ("file_name", _file_name),
}
