"""Reads recorded ticks row by row. Prices keep the digits of the file; a bad row is reported by file, line and field."""

from __future__ import annotations

import csv
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.errors import InputError
from tables.ticks import RejectedError, event_time

PRICES = frozenset({"bid", "ask", "last", "qty"})
FIELDS = PRICES | {"ts", "seq", "broker", "symbol"}
UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_JSON_FIELDS = FIELDS | {"heartbeat"}
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_BOM = b"\xef\xbb\xbf"  # byte order mark, which spreadsheets write
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Row(NamedTuple):
    """One tick as it is sent; `ts_ms` is its event time in epoch ms, floored."""

    key: bytes
    value: bytes
    ts_ms: int


class BadRowError(InputError):
    """A row that cannot be sent; `text` is the row as in the file."""

    def __init__(self, where: str, problem: str, text: str) -> None:
        """`where` is `file:line`, `problem` names field and value."""
        super().__init__(f"{where}: {problem}")
        self.text = text


@dataclass(frozen=True)
class Reading:
    """How to read the rows: names of the columns, defaults for broker and symbol, and times.

    Times are integers in `time_unit` that count from `origin_ms` (epoch ms), or RFC 3339 text.
    """

    columns: tuple[str, ...] | None
    broker: str | None
    symbol: str | None
    time_unit: str = "ms"
    origin_ms: int = 0
    header: bool = False


def parse_columns(text: str) -> tuple[str, ...]:
    """Parse `ts,bid,-,ask`; raises `InputError` for an unknown or repeated field, or if ts is missing."""
    names = tuple(n.strip() for n in text.split(","))
    for name in names:
        if name != "-" and name not in FIELDS:
            raise InputError(f"--columns: {name!r} is not a field of a tick: {', '.join(sorted(FIELDS))}, or - to skip")
        if name != "-" and names.count(name) > 1:
            raise InputError(f"--columns: {name} is named twice")
    if "ts" not in names:
        raise InputError("--columns: ts is missing")
    return names


def rows(path: Path, reading: Reading) -> Iterator[Row | BadRowError]:
    """The rows of one file in order. A bad row is yielded as an error, not raised, so that the caller can skip it.

    Raises `InputError` if the file itself cannot be read.
    """
    return chain.from_iterable(streams(path, reading))


def streams(path: Path, reading: Reading) -> list[Iterator[Row | BadRowError]]:
    """Like `rows`, with one iterator per member of a zip, so that the caller can merge them by time."""
    kind = path.suffix.lower()
    with _readable(path):
        if kind != ".zip":
            return [_file(path, kind, reading)]
        archive = zipfile.ZipFile(path)  # shared by all members; closed when the last iterator is
        return [_member(path, archive, name, reading) for name in archive.namelist() if not _NO_TICKS.match(name)]


_NO_TICKS = re.compile(r".*/$|__MACOSX/")  # folders, and the files macOS adds


def _file(path: Path, kind: str, reading: Reading) -> Iterator[Row | BadRowError]:
    with _readable(path):
        if kind == ".parquet":
            from app.tickfiles.parquet import parquet_fields  # noqa: PLC0415 - an extra

            yield from _from_fields(path.name, parquet_fields(path, reading.columns, reading.time_unit), reading)
        else:
            with path.open("rb") as file:
                yield from _from_text(path.name, kind, file, reading)


def _member(path: Path, archive: zipfile.ZipFile, name: str, reading: Reading) -> Iterator[Row | BadRowError]:
    with _readable(path):
        try:
            member = archive.open(name)
        except RuntimeError as error:  # encrypted, or an unknown compression
            raise InputError(f"{path}: {error}") from error
        with member:
            yield from _from_text(f"{path.name}/{name}", Path(name).suffix.lower(), member, reading)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or str(error) or 'ends too early'}") from error


def _from_text(name: str, suffix: str, file: Iterable[bytes], reading: Reading) -> Iterator[Row | BadRowError]:
    if suffix in {".jsonl", ".ndjson", ".json"}:
        yield from _from_fields(name, _json_fields(name, file), reading)
    else:
        yield from _from_fields(name, _csv_fields(name, file, reading), reading)


Fields = tuple[int, dict[str, str] | BadRowError, str]  # line number, values by field, the row's text


def _lines(name: str, file: Iterable[bytes]) -> Iterator[tuple[int, str, BadRowError | None]]:
    """Number and text of each non-empty line, and the error if it is not UTF-8."""
    for number, raw in enumerate(file, 1):
        line = (raw.removeprefix(_BOM) if number == 1 else raw).rstrip(b"\r\n")
        if line:
            try:
                yield number, line.decode(), None
            except UnicodeDecodeError:
                text = line.decode(errors="surrogateescape")  # so that FILE.rejected gets the same bytes
                yield number, text, BadRowError(f"{name}:{number}", f"is not UTF-8: {line[:80]!r}", text)


def _csv_fields(name: str, file: Iterable[bytes], reading: Reading) -> Iterator[Fields]:
    columns = reading.columns or ("ts", "bid", "ask")
    for number, line, bad in _lines(name, file):
        if number == 1 and reading.header:
            continue
        problem, cells = None, list[str]()
        try:
            cells = line.split(",") if '"' not in line else next(csv.reader([line]))
        except csv.Error as error:
            problem = f"is not a CSV row ({error}): {line[:80]!r}"
        if number == 1 and not any(c.isdigit() for c in line):
            problem = f"has no digit: if it is a header, --header skips it: {line[:80]!r}"
        elif problem is None and len(cells) != len(columns):
            problem = f"has {len(cells)} columns, --columns names {len(columns)} ({','.join(columns)}): {line[:80]!r}"
        if bad is not None:
            yield number, bad, line
        elif problem is not None:
            yield number, BadRowError(f"{name}:{number}", problem, line), line
        else:
            yield number, dict(zip(columns, cells, strict=True)), line


def _json_fields(name: str, file: Iterable[bytes]) -> Iterator[Fields]:
    for number, text, bad in _lines(name, file):
        if bad is not None:
            yield number, bad, text
            continue
        try:
            found = {k: _unquoted(bytes(v)) for k, v in _object(text).items() if k in _JSON_FIELDS}
        except (msgspec.MsgspecError, RecursionError) as error:
            yield (
                number,
                BadRowError(f"{name}:{number}", f"is not a JSON object ({error}): {text[:80]!r}", text),
                text,
            )
        else:
            yield number, found, text


def _unquoted(raw: bytes) -> str:
    """A JSON value as text: a string without quotes, a null as empty text, a number with its digits."""
    if raw.startswith(b'"'):
        return str(msgspec.json.decode(raw, type=str))
    return "" if raw == b"null" else raw.decode()


def _from_fields(name: str, source: Iterable[Fields], reading: Reading) -> Iterator[Row | BadRowError]:
    shift = reading.origin_ms * UNITS_PER_SECOND[reading.time_unit] // 1000
    keys: dict[tuple[str, str], bytes] = {}
    for seq, (line, fields, text) in enumerate(source, 1):
        if isinstance(fields, BadRowError):
            yield fields
            continue
        try:
            pair = (
                fields.get("broker") or reading.broker or "",
                fields.get("symbol") or reading.symbol or "",
            )
            key = keys.get(pair)
            if key is None:
                key = keys[pair] = _key(*pair)
            yield _row(key, fields, seq, shift, reading.time_unit)
        except ValueError as error:
            yield BadRowError(f"{name}:{line}", str(error), text)


def _key(broker: str, symbol: str) -> bytes:
    for field, value in (("broker", broker), ("symbol", symbol)):
        if not value:
            option = "--broker-name" if field == "broker" else "--symbol"
            raise ValueError(f"{field} is empty: give {option}, or name its column in --columns")
        if "|" in value or not value.isprintable():
            raise ValueError(f"{field}={value!r}: may hold neither | nor control characters")
    return f"{broker}|{symbol}".encode()


def _row(key: bytes, fields: dict[str, str], seq: int, shift: int, unit: str) -> Row:
    parts = []
    for field, value in fields.items():
        if field in PRICES and value:
            if _NUMBER.fullmatch(value) is None:
                raise ValueError(f"{field}={value[:40]!r}: is not a number")
            parts.append(f',"{field}":{value}')
    given_seq = fields.get("seq")
    if given_seq:
        if _INTEGER.fullmatch(given_seq) is None:
            raise ValueError(f"seq={given_seq[:40]!r}: is not a whole number")
        seq = int(given_seq)
    beat = fields.get("heartbeat", "")
    if beat not in {"", "true", "false"}:
        raise ValueError(f"heartbeat={beat[:40]!r}: is neither true nor false")
    rest = ',"heartbeat":true' if beat == "true" else f'{"".join(parts)},"seq":{seq}'
    text = fields.get("ts", "").strip()
    if _INTEGER.fullmatch(text):
        ts = int(text) + shift
        return Row(key, f'{{"ts":{ts}{rest}}}'.encode(), to_ms(ts, unit))
    try:
        ms = event_time(text, unit)[1]  # the worker's decoder: a time that it would reject is refused here
    except RejectedError:
        raise ValueError(
            f"ts={text[:40]!r}: is neither a whole number nor an RFC 3339 time, which needs an offset (Z)"
        ) from None
    if shift:
        raise ValueError(f"ts={text!r}: a time as text cannot be combined with --origin")
    return Row(key, f'{{"ts":"{text}"{rest}}}'.encode(), ms)


def to_ms(ts: int, unit: str) -> int:
    """Convert a time in `unit` (s, ms, us, ns) to epoch ms, floored."""
    return ts * 1000 // UNITS_PER_SECOND[unit]


def from_ms(ms: int, unit: str) -> int:
    """Convert epoch ms to `unit`, rounded up."""
    return -(-ms * UNITS_PER_SECOND[unit] // 1000)


@contextmanager
def rejected_file(path: Path) -> Iterator[list[str]]:
    """Give a list for bad rows and write it to `<file>.rejected` at the end; if it is empty, delete that file.

    Raises `InputError` if the file cannot be written.
    """
    target, bad = path.with_name(path.name + ".rejected"), list[str]()
    try:
        yield bad
    finally:
        try:
            if bad:
                target.write_text("".join(f"{line}\n" for line in bad), encoding="utf-8", errors="surrogateescape")
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{target}: cannot keep the bad rows: {error.strerror}") from error
