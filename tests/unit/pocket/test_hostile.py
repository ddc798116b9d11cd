"""Invalid requests are refused, and leave the broker and its data unchanged."""

from __future__ import annotations

import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from app.pocket.admin import Admin
from app.pocket.batch import ATTRIBUTES_AT, CONTROL, CRC_AT, HEADER
from app.pocket.coordinator import Coordinator
from app.pocket.data import CORRUPT, INVALID_RECORD, Data
from app.pocket.groups import NO_COMMON_PROTOCOL
from app.pocket.journal import Journal
from app.pocket.topics import STORAGE, TOO_MANY_FILES, UNKNOWN_TOPIC, Topics
from app.pocket.transactions import Transactions

GZIP = 1
LAST_DELTA_AT, COUNT_AT = 23, 57


class Parts:
    """A broker without its sockets."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.jsonl")
        self.topics = Topics(folder, self.journal, 1)
        transactions = Transactions(self.journal, self.topics.find, lambda *_: None)
        self.data = Data(self.topics, transactions)
        self.coordinator = Coordinator(self.topics, transactions, 0.0)
        self.admin = Admin(self.topics)

    def close(self) -> None:
        self.topics.close()
        self.journal.close()

    def produce(self, topic: str, raw: bytes | bytearray) -> int:
        """The error code."""
        request = {"required_acks": -1, "topics": [{"topic": topic, "partitions": [{"partition": 0, "messages": raw}]}]}
        answer = self.data.produce(request)
        assert answer is not None
        return int(answer["topics"][0]["partitions"][0]["error_code"])

    def create(self, topic: str, partitions: int = 1, **configs: str) -> tuple[int, str | None]:
        """The error code and the error message."""
        rows = [{"config_key": key.replace("__", "."), "config_value": value} for key, value in configs.items()]
        wanted = {
            "topic": topic,
            "num_partitions": partitions,
            "replication_factor": 1,
            "replica_assignment": [],
            "configs": rows,
        }
        (row,) = self.admin.create_topics({"create_topic_requests": [wanted]})["topic_errors"]
        return row["error_code"], row["error_message"]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Closed after the test."""
    made = Parts(tmp_path)
    yield made
    made.close()


def batch(*keys: bytes) -> bytearray:
    """A batch as an honest producer makes it."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    for number, key in enumerate(keys):
        builder.append(number, 1_700_000_000_000, key, b"value", [])
    return bytearray(builder.build())


def tampered(raw: bytearray, at: int, form: str, value: int) -> bytearray:
    """The same batch with one field changed and a valid checksum."""
    struct.pack_into(form, raw, at, value)
    struct.pack_into(">I", raw, CRC_AT, calc_crc32c(bytes(raw[ATTRIBUTES_AT:])))
    return raw


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        pytest.param(LAST_DELTA_AT, ">i", -5, id="a negative last offset delta"),
        pytest.param(LAST_DELTA_AT, ">i", 2**31 - 1, id="a last offset delta beyond the records"),
        pytest.param(COUNT_AT, ">i", 0, id="no records"),
        pytest.param(ATTRIBUTES_AT, ">h", CONTROL, id="a transaction marker"),
    ],
)
def test_a_batch_with_an_invalid_header_is_refused(parts: Parts, at: int, form: str, value: int) -> None:
    parts.create("t")
    assert parts.produce("t", tampered(batch(b"a", b"b"), at, form, value)) == INVALID_RECORD
    assert parts.produce("t", batch(b"a")[:-1]) == CORRUPT
    assert parts.produce("t", batch(b"a", b"b")) == 0
    log = parts.topics.find("t", 0)
    assert log is not None
    assert log.end == 2


def test_a_batch_that_cannot_be_read_stays_and_others_are_compacted(parts: Parts) -> None:
    parts.create("a", cleanup__policy="compact")
    parts.create("b", cleanup__policy="compact")
    unreadable = batch(b"k")
    unreadable[HEADER.size :] = b"\xff" * (len(unreadable) - HEADER.size)
    assert parts.produce("a", tampered(unreadable, ATTRIBUTES_AT, ">h", GZIP)) == 0
    for topic in ("a", "b"):
        for _ in range(3):
            assert parts.produce(topic, batch(b"k")) == 0
    parts.topics.compact()
    kept = {}
    for topic in ("a", "b"):
        log = parts.topics.find(topic, 0)
        assert log is not None
        kept[topic] = list(log._index.bases)
    assert kept == {"a": [0, 3], "b": [2]}


async def test_a_member_without_a_protocol_is_refused_and_its_group_still_works(parts: Parts) -> None:
    request: dict[str, Any] = {
        "group": "g",
        "member_id": "",
        "session_timeout": 10_000,
        "protocol_type": "consumer",
        "group_protocols": [],
        "_client": "c",
        "_host": "h",
    }
    assert (await parts.coordinator.join_group(request))["error_code"] == NO_COMMON_PROTOCOL
    protocols = [{"protocol_name": "range", "protocol_metadata": b""}]
    assert (await parts.coordinator.join_group(request | {"group_protocols": protocols}))["error_code"] == 0
    parts.coordinator.tick()


def _commit(parts: Parts, group: str, topic: str) -> int:
    part = {"partition": 0, "offset": 1, "metadata": ""}
    request = {
        "consumer_group": group,
        "consumer_id": "",
        "consumer_group_generation_id": -1,
        "topics": [{"topic": topic, "partitions": [part]}],
    }
    return int(parts.coordinator.commit_offsets(request)["topics"][0]["partitions"][0]["error_code"])


def test_an_invalid_group_name_leaves_the_offsets_of_other_groups_unchanged(parts: Parts) -> None:
    parts.create("t")
    assert _commit(parts, "g", "no\0topic") == UNKNOWN_TOPIC
    assert _commit(parts, "g", "t") == 0
    for group in ("g\0", "", None):
        with pytest.raises(ValueError, match="not a name"):
            _commit(parts, group, "t")  # type: ignore[arg-type]  # the protocol has a null here
    assert parts.topics.committed("g") == {("t", 0): (1, "")}
    assert parts.coordinator.list_groups({})["groups"] == [{"group": "g", "protocol_type": ""}]


@contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    """Set a resource limit of this process for a while."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def test_partitions_beyond_the_limit_of_open_files_are_refused_and_leave_no_files(parts: Parts, tmp_path: Path) -> None:
    with limited(resource.RLIMIT_NOFILE, 600):
        code, message = parts.create("many", 1_000)
        assert code == TOO_MANY_FILES
        assert "ulimit -n" in str(message)
        assert parts.create("few", 2) == (0, None)
        assert parts.topics.grow("few", 1_000) == TOO_MANY_FILES
    again = Parts(tmp_path)
    assert again.topics.names() == ["few"]
    assert len(again.topics.logs("few") or ()) == 2
    assert again.create("many") == (0, None)
    again.close()


def test_a_topic_that_cannot_be_created_on_a_full_disk_leaves_no_files(parts: Parts, tmp_path: Path) -> None:
    assert parts.create("old") == (0, None)
    with limited(resource.RLIMIT_FSIZE, (tmp_path / "journal.jsonl").stat().st_size):
        assert parts.create("new", 3)[0] == STORAGE
    assert parts.topics.names() == ["old"]
    assert not list(tmp_path.glob("new-*"))
    assert parts.create("new", 3) == (0, None)


def test_the_longest_allowed_topic_name_fits_in_a_file_name(parts: Parts) -> None:
    assert parts.create("t" * 230) == (0, None)
    assert parts.create("t" * 231)[0] != 0
