"""The fields of each row as text, from the lines of a CSV or of JSON lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from app.errors import InputError
from app.tickfiles.reading import BadRowError, Names, Reading
from tables.layouts.fields import TARGETS

Fields = tuple[int, dict[str, str] | BadRowError, str]  # line number, values by field, the row's text
NEEDED = frozenset({"ts", "kind"})  # fields that even an optional layout must have
DEFAULT_COLUMNS = ("ts", "bid", "ask")
_JSON_FIELDS: dict[str, Names] = {name: ((name,),) for name in (*TARGETS, "date", "time")}
_TEXTS = ("broker", "symbol")
_BOM = b"\xef\xbb\xbf"  # byte order mark, which spreadsheets write
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def lines(name: str, file: Iterable[bytes]) -> Iterator[tuple[int, str, BadRowError | None]]:
    """Number and text of each non-empty line, and the error if it is not UTF-8. Raises `InputError` if it is UTF-16."""
    for number, raw in enumerate(file, 1):
        if number == 1 and raw.startswith(_UTF16):
            raise InputError(f"{name}: is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8")
        line = (raw.removeprefix(_BOM) if number == 1 else raw).rstrip(b"\r\n")
        if line:
            try:
                yield number, line.decode(), None
            except UnicodeDecodeError:
                text = line.decode(errors="surrogateescape")  # so that FILE.rejected gets the same bytes
                yield number, text, BadRowError(f"{name}:{number}", f"is not UTF-8: {line[:80]!r}", text)


def csv_fields(name: str, file: Iterable[bytes], reading: Reading) -> Iterator[Fields]:
    """The rows of a CSV. Raises `InputError` where its header lacks a column that is needed."""
    columns = reading.columns or DEFAULT_COLUMNS
    times = [i for i, column in enumerate(columns) if column in {"ts", "date"}]
    width, first = len(columns), True
    for number, line, bad in lines(name, file):
        problem, cells = None, list[str]()
        try:
            cells = _cells(line, reading.delimiter)
        except csv.Error as error:
            problem = f"is not a CSV row ({error}): {line[:80]!r}"
        if first:
            first = False
            if reading.fields is not None:
                columns = _columns_by_name(f"{name}:{number}", cells, reading.fields, optional=reading.optional)
                width = len(columns)
                continue
            if reading.header or (reading.header is None and not _have_digits(cells, times)):
                continue
            if not any(c.isdigit() for c in line):
                problem = f"has no digit: if it is a header, --header skips it: {line[:80]!r}"
        if problem is None and len(cells) != width and not (reading.rest and len(cells) > width):
            problem = _wrong_width(line, cells, columns)
        if bad is not None:
            yield number, bad, line
        elif problem is not None:
            yield number, BadRowError(f"{name}:{number}", problem, line), line
        else:
            yield number, dict(zip(columns, cells, strict=False)), line


def _cells(line: str, delimiter: str) -> list[str]:
    return line.split(delimiter) if '"' not in line else next(csv.reader([line], delimiter=delimiter))


def _have_digits(cells: list[str], times: list[int]) -> bool:
    return any(c.isdigit() for i in times if i < len(cells) for c in cells[i])


def _wrong_width(line: str, cells: list[str], columns: tuple[str, ...]) -> str:
    shown = f"has {len(cells)} columns, --columns names {len(columns)} ({','.join(columns)}): {line[:80]!r}"
    if "\r" in line:
        return f"{shown}; its lines end with CR alone: tr '\\r' '\\n' converts them"
    others = [c for c in (";", "\t", "|") if len(line.split(c)) == len(columns)]
    return f"{shown}; is its --delimiter {others[0]!r}?" if others and len(cells) < len(columns) else shown


def _columns_by_name(where: str, header: list[str], fields: Mapping[str, Names], *, optional: bool) -> tuple[str, ...]:
    """The field in each column; `-` for the others."""
    found = [cell.strip() for cell in header]
    columns = ["-"] * len(found)
    for field, names in fields.items():
        index = next((found.index(name) for name in map(".".join, names) if name in found), None)
        if index is not None and columns[index] == "-":
            columns[index] = field
        elif index is not None:
            raise InputError(f"{where}: column {found[index]} is to be both {columns[index]} and {field}")
        elif field in NEEDED or not optional:
            wanted = " or ".join(map(".".join, names))
            raise InputError(f"{where}: has no column {wanted} for {field}; it has {','.join(found)[:200]}")
    return tuple(columns)


def json_fields(name: str, file: Iterable[bytes], fields: Mapping[str, Names] | None) -> Iterator[Fields]:
    """The rows of JSON lines; `fields` names what is called what, None takes the names of a tick."""
    wanted = _JSON_FIELDS if fields is None else fields
    for number, text, bad in lines(name, file):
        if bad is not None:
            yield number, bad, text
            continue
        try:
            record = _object(text)
            found = {field: _text_of(field, record, names) for field, names in wanted.items()}
        except (msgspec.MsgspecError, RecursionError) as error:
            remedy = "; one object a line is needed: jq -c '.[]' makes that of an array" if text.startswith("[") else ""
            yield number, BadRowError(f"{name}:{number}", f"is not a JSON object ({error}): {text[:80]!r}{remedy}", text), text
            continue
        except ValueError as error:
            yield number, BadRowError(f"{name}:{number}", str(error), text), text
            continue
        if not found.get("ts") and not found.get("date"):
            problem = (
                f"has no {'.'.join(wanted['ts'][0])}, the time; it has {', '.join(record)[:120]}: --columns ts=NAME,bid=NAME"
            )
            yield number, BadRowError(f"{name}:{number}", problem, text), text
            continue
        yield number, {field: value for field, value in found.items() if value is not None}, text


def _text_of(field: str, record: Mapping[str, msgspec.Raw], names: Names) -> str | None:
    """A field as text: a string without quotes, a null as empty text, a number with its digits. None where there is none."""
    for path in names:
        within: Mapping[str, msgspec.Raw] = record
        for name in path[:-1]:
            inner = bytes(within.get(name, b""))
            within = _object(inner) if inner.startswith(b"{") else {}
        raw = within.get(path[-1])
        if raw is not None:
            return _unquoted(field, bytes(raw))
    return None


def _unquoted(field: str, raw: bytes) -> str:
    if raw.startswith(b'"'):
        return str(msgspec.json.decode(raw, type=str))
    if raw[:1] in {b"[", b"{"} or (field in _TEXTS and raw in {b"true", b"false"}):
        raise ValueError(f"{field}={raw[:40].decode(errors='replace')}: is neither text nor a number")
    return "" if raw == b"null" else raw.decode()
