"""The files of a replay as streams of lines: plain, compressed, in a zip, or from a pipe."""

from __future__ import annotations

import bz2
import gzip
import lzma
import mmap
import re
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Self

import cramjam

from app.errors import InputError

STDIN = Path("-")
COMPRESSED = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".zst": b"\x28\xb5\x2f\xfd"}  # endings, and how such files begin
_ARCHIVES = {".zip": b"PK", ".parquet": b"PAR1"}
_NO_TICKS = re.compile(r".*/$|__MACOSX/")  # folders, and the files macOS adds


class Source(NamedTuple):
    """One stream of rows: a file, or a member of a zip. `path` is the file on disk, `given` what the user named."""

    name: str
    kind: str  # its ending, in lower case and without that of its compression
    path: Path
    given: Path
    member: str | None = None
    packed: str = ""  # .gz or .bz2

    @contextmanager
    def lines(self) -> Iterator[Iterable[bytes]]:
        """Open it; raises `InputError` if it cannot be read."""
        with readable(self.given), ExitStack() as stack:
            if self.member is not None:
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                try:
                    yield stack.enter_context(archive.open(self.member))
                except RuntimeError as error:  # encrypted, or an unknown compression
                    raise InputError(f"{self.given}: {error}") from error
            elif self.packed == ".gz":
                yield stack.enter_context(gzip.open(self.path))
            elif self.packed == ".bz2":
                yield stack.enter_context(bz2.open(self.path))
            else:
                yield stack.enter_context(self.path.open("rb"))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Make an error of the block that has to do with the file an `InputError` that names it."""
    try:
        yield
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, cramjam.DecompressionError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or str(error) or 'ends too early'}") from error


class Spool:
    """A context manager with a folder for what can be read only once: pipes, and what has to be unpacked first."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sources(self, given: Path) -> list[Source]:
        """The streams of one file. A pipe is read to its end here. Raises `InputError` if it cannot be read."""
        with readable(given):
            path, name = self._on_disk(given)
            kind, packed = path_kind(name, path)
            if packed == ".zst":
                path, packed = self._unpacked(path), ""
            if kind != ".zip":
                return [Source(name, kind, path, given, packed=packed)]
            if packed:
                raise InputError(f"{given}: is a compressed zip; unpack it first")
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.namelist() if not _NO_TICKS.match(member)]
            for member in members:
                if Path(member).suffix.lower() in {".zip", ".parquet", *COMPRESSED}:
                    raise InputError(f"{name}/{member}: a zip may hold only CSV and JSON lines; unpack it first")
            return [Source(f"{name}/{member}", Path(member).suffix.lower(), path, given, member) for member in members]

    def _on_disk(self, given: Path) -> tuple[Path, str]:
        if given == STDIN:
            if sys.stdin is None or sys.stdin.isatty():
                raise InputError("-: standard input is a terminal; give a file, or a pipe")
            return self._copied(sys.stdin.buffer), "stdin"
        if stat.S_ISREG(given.stat().st_mode):
            return given, given.name
        if given.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        with given.open("rb") as pipe:
            return self._copied(pipe), "stdin" if given.parts[:2] == ("/", "dev") else given.name

    def _copied(self, pipe: IO[bytes]) -> Path:
        target = self._target()
        with target.open("wb") as copy:
            shutil.copyfileobj(pipe, copy, 1 << 20)
        return target

    def _unpacked(self, path: Path) -> Path:
        target = self._target()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as packed:
            cramjam.zstd.decompress_into(packed, cramjam.File(str(target)))  # not in memory, whatever its size
        return target

    def _target(self) -> Path:
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="barwheel-")))
        self._count += 1
        return self._folder / str(self._count)


def path_kind(name: str, path: Path) -> tuple[str, str]:
    """The ending that says what the rows are, and that of the compression; what has no telling ending is told by its bytes.

    Raises `InputError` if the bytes are not what the ending says.
    """
    with path.open("rb") as file:
        head = file.read(4_096)
    whole = Path(name)
    said = whole.suffix.lower()
    for ending, magic in COMPRESSED.items():
        if head.startswith(magic):
            inner = Path(whole.stem) if said == ending else whole
            return inner.suffix.lower(), ending
    if said in COMPRESSED:
        raise InputError(f"{name}: is not what its ending {said} says")
    for ending, magic in _ARCHIVES.items():
        if head.startswith(magic) and said not in _ARCHIVES:
            return ending, ""
    json_lines = said not in {".csv", *_ARCHIVES} and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return ".jsonl" if json_lines else said, ""


def rejected_path(given: Path) -> Path:
    """Where the bad rows of a file go: beside it; those of a pipe of the shell into the present folder."""
    if given == STDIN or given.parts[:2] == ("/", "dev"):
        return Path("stdin.rejected")
    return given.with_name(given.name + ".rejected")
