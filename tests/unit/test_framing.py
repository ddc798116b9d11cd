"""The two framings of Schema Registry, against those that Confluent's own client writes; other bytes are rejected."""

from __future__ import annotations

import contextlib
import io
import uuid

import pytest
from confluent_kafka.schema_registry.common.serde import SchemaId
from hypothesis import given
from hypothesis import strategies as st

from tables.layouts.framing import VALUE_HEADER, header_indexes, message_indexes, schema_id
from tables.ticks import RejectedError

IDS = st.integers(0, 2**32 - 1)
INDEXES = st.lists(st.integers(0, 5_000), min_size=1, max_size=5)


@given(IDS, st.binary(), INDEXES)
def test_the_id_in_front_of_the_value_is_read_as_confluents_client_writes_it(
    number: int, rest: bytes, indexes: list[int]
) -> None:
    framed = SchemaId("PROTOBUF", number, None, indexes).id_to_bytes()
    found, at = schema_id(framed + rest, [])
    assert found == number
    assert message_indexes(framed + rest, at) == (tuple(indexes), len(framed))
    assert schema_id(SchemaId("AVRO", number).id_to_bytes() + rest, [("other", b"1")]) == (number, 5)


@given(IDS, st.uuids(), st.binary(), INDEXES)
def test_the_id_in_the_header_is_read_as_confluents_client_writes_it(
    number: int, guid: uuid.UUID, value: bytes, indexes: list[int]
) -> None:
    by_id = SchemaId("PROTOBUF", number, None, indexes).id_to_bytes()
    by_guid = SchemaId("PROTOBUF", None, str(guid), indexes).guid_to_bytes()
    for content, wanted in ((by_id, number), (by_guid, guid.bytes)):
        headers = [("other", None), (VALUE_HEADER, content)]
        assert schema_id(value, headers) == (wanted, 0)
        assert header_indexes(headers) == tuple(indexes)


def test_a_single_zero_stands_for_the_first_message() -> None:
    assert message_indexes(b"\0x", 0) == ((0,), 1)
    assert SchemaId._read_index_array(io.BytesIO(b"\0")) == [0]


@given(st.binary(max_size=40), st.one_of(st.none(), st.binary(max_size=40)))
def test_other_bytes_are_rejected_and_nothing_worse(value: bytes, header: bytes | None) -> None:
    headers = [] if header is None else [(VALUE_HEADER, header)]
    for read in (lambda: schema_id(value, headers), lambda: message_indexes(value, 5), lambda: header_indexes(headers)):
        with contextlib.suppress(RejectedError):
            read()


@pytest.mark.parametrize("value", [b"\1\0\0\0\7", b"\0\0\0\7", b'{"ts": 1}'])
def test_a_value_without_framing_is_rejected_with_what_is_missing(value: bytes) -> None:
    with pytest.raises(RejectedError, match=VALUE_HEADER) as found:
        schema_id(value, [])
    assert found.value.reason == "framing"
