"""The journal of the pocket broker: values that were put are there when it is opened again."""

from __future__ import annotations

import os
from errno import ENOSPC
from pathlib import Path

import pytest

from app.errors import BrokerError
from app.pocket import journal as module
from app.pocket.journal import Journal


def test_the_last_value_of_each_key_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.put("topic", "a", {"partitions": 1})
    journal.put("topic", "a", {"partitions": 2})
    journal.put("topic", "b", {"partitions": 1})
    journal.put("topic", "b", None)
    journal.close()
    again = Journal(path)
    assert again.table("topic") == {"a": {"partitions": 2}}
    again.close()


def test_an_incomplete_last_line_is_dropped_and_later_lines_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.put("offset", "g", [1, ""])
    journal.put("offset", "h", [2, ""])
    journal.close()
    os.truncate(path, path.stat().st_size - 4)
    torn = Journal(path)
    assert torn.table("offset") == {"g": [1, ""]}
    torn.put("offset", "i", [3, ""])
    torn.close()
    again = Journal(path)
    assert again.table("offset") == {"g": [1, ""], "i": [3, ""]}
    again.close()


@pytest.mark.parametrize("corrupt", [b"\0" * 40, b'["offset"]', b"\xff"])
def test_a_corrupt_line_is_named_and_the_file_is_unchanged(tmp_path: Path, corrupt: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'["offset","g",[1,""]]\n' + corrupt + b'\n["offset","h",[1,""]]\n')
    before = path.read_bytes()
    with pytest.raises(BrokerError, match="line 2 cannot be read"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_line_that_was_written_in_part_does_not_corrupt_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:5]) if len(data) > 5 else write(fd, data[:0]))
        with pytest.raises(OSError, match="journal"):
            journal.put("offset", "full", [1, ""])
    journal.put("offset", "room", [2, ""])
    journal.close()
    again = Journal(path)
    assert again.table("offset") == {"room": [2, ""]}
    again.close()


def test_a_journal_whose_values_change_all_the_time_stays_small_and_keeps_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REWRITE_BYTES", 2_000)
    path = tmp_path / "journal"
    journal = Journal(path)
    largest = 0
    for offset in range(5_000):
        journal.put("offsets", f"group|ticks|{offset % 8}", [offset, ""])
        largest = max(largest, path.stat().st_size)
    assert largest < 3_000
    journal.put("offsets", "group|ticks|0", None)
    expected = dict(journal.table("offsets"))
    journal.close()
    assert Journal(path).table("offsets") == expected
    assert sorted(value for value, _ in expected.values()) == list(range(4_993, 5_000))


def test_a_disk_without_room_to_rewrite_leaves_the_journal_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REWRITE_BYTES", 500)
    path = tmp_path / "journal"
    journal = Journal(path)

    def full(self: Journal) -> tuple[int, int]:  # as the method
        raise OSError(ENOSPC, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_rewritten", full)
        for number in range(100):
            journal.put("t", "k", number)
    journal.put("t", "k", 100)
    journal.close()
    assert Journal(path).table("t") == {"k": 100}
