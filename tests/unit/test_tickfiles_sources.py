"""Where rows come from: pipes, compressed files, and files that are not what they seem."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cramjam
import pytest

from app.errors import InputError
from app.tickfiles.reading import Reading, Row
from app.tickfiles.rows import rejected_file, rows
from app.tickfiles.sources import STDIN, Spool, rejected_path

PLAIN = Reading(None, "b", "s")
CSV = b"1,1.10,2\n2,1.20,2\n"
JSON = b'{"ts":1,"bid":1.10}\n{"ts":2,"bid":1.20}\n'
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda raw: bytes(cramjam.zstd.compress(raw)),
}


def times(path: Path) -> list[int]:
    found = list(rows(path, PLAIN))
    assert all(isinstance(row, Row) for row in found), found
    return [row.ts_ms for row in found if isinstance(row, Row)]


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize(("name", "content"), [("t.csv", CSV), ("t.jsonl", JSON), ("t", JSON)])
def test_compressed_files_are_read_with_or_without_their_ending(tmp_path: Path, ending: str, name: str, content: bytes) -> None:
    for path in (tmp_path / f"{name}{ending}", tmp_path / name):
        path.write_bytes(PACK[ending](content))
        if name == "t":
            continue  # what has no ending at all is CSV
        assert times(path) == [1, 2]


@pytest.mark.parametrize("ending", PACK)
def test_a_compressed_file_that_ends_too_early_is_one_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(PACK[ending](os.urandom(20_000))[:-9_000])
    with pytest.raises(InputError, match=r"t\.csv"):
        list(rows(path, PLAIN))


@pytest.mark.parametrize("ending", PACK)
def test_a_file_that_is_not_compressed_as_its_ending_says_is_refused(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"t.csv{ending}").write_bytes(CSV)
    with pytest.raises(InputError, match=f"is not what its ending {ending} says"):
        list(rows(tmp_path / f"t.csv{ending}", PLAIN))


@pytest.mark.parametrize(
    "content",
    [CSV, JSON, gzip.compress(CSV, mtime=0), bz2.compress(CSV), PACK[".zst"](CSV)],
    ids=["csv", "json", "gzip", "bzip2", "zstd"],
)
def test_a_pipe_is_read_to_its_end_and_told_by_its_bytes(tmp_path: Path, content: bytes) -> None:
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writing.start()
    assert times(tmp_path / "pipe") == [1, 2]
    writing.join()


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(CSV), isatty=lambda: False))
    assert times(STDIN) == [1, 2]


def test_standard_input_that_is_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: True))
    with pytest.raises(InputError, match="is a terminal"):
        list(rows(STDIN, PLAIN))


def test_nothing_of_a_pipe_stays_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(CSV), isatty=lambda: False))
    with Spool() as spool:
        (source,) = spool.sources(STDIN)
        assert source.path.exists()
    assert not source.path.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_utf16_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("1,1,2\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"t\.csv: is UTF-16; convert it to UTF-8: iconv"):
        list(rows(tmp_path / "t.csv", PLAIN))


def test_a_zip_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("inner.zip", b"PK")
    with pytest.raises(InputError, match=r"t\.zip/inner\.zip: .*unpack it first"):
        list(rows(tmp_path / "t.zip", PLAIN))


@pytest.mark.parametrize(
    ("given", "kept"), [("-", "stdin"), ("/dev/stdin", "stdin"), ("/dev/fd/63", "stdin"), ("a/t.csv", "a/t.csv")]
)
def test_rows_of_a_pipe_that_are_not_sent_are_kept_in_the_present_folder(given: str, kept: str) -> None:
    assert rejected_path(Path(given)) == Path(f"{kept}.rejected")


def test_rows_that_are_not_sent_are_written_at_once(tmp_path: Path) -> None:
    with rejected_file(tmp_path / "missing" / "t.csv") as kept, pytest.raises(InputError, match="cannot keep the rows"):
        kept.append("x")
