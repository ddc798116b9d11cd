"""The journal of the pocket broker: what was put is there when it is opened again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.errors import BrokerError
from app.pocket.journal import Journal


def test_what_was_put_last_is_read_again(tmp_path: Path) -> None:
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


def test_a_torn_last_line_is_left_out_and_the_next_is_kept(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("spoilt", [b"\0" * 40, b'["offset"]', b"\xff"])
def test_a_spoilt_line_is_named_and_the_file_is_left_as_it_is(tmp_path: Path, spoilt: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'["offset","g",[1,""]]\n' + spoilt + b'\n["offset","h",[1,""]]\n')
    before = path.read_bytes()
    with pytest.raises(BrokerError, match="line 2 cannot be read"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_line_that_the_disk_took_in_part_does_not_spoil_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
