"""The codec for requests and responses, based on the schemas of one version of aiokafka."""

from __future__ import annotations

import importlib.metadata
import struct

from app.pocket import wire


def test_the_installed_aiokafka_is_the_one_it_was_written_for() -> None:
    assert importlib.metadata.version("aiokafka") == "0.14.0"
    assert "0.14.0" in (wire.__doc__ or "")


def test_api_versions_beyond_ours_are_answered_with_an_error_in_the_oldest_form() -> None:
    answer = wire.api_versions(3, {0: (3, 8)})
    error, count = struct.unpack_from(">hi", answer)
    assert (error, count) == (35, 2)
    assert len(answer) == 6 + 2 * 6


def test_a_request_is_read_by_name_and_an_answer_written_by_name() -> None:
    body = struct.pack(">h3sii", 3, b"grp", 7, 0)[:9] + struct.pack(">h2s", 2, b"me")
    assert wire.read_request(12, 0, body) == {"group": "grp", "generation_id": 7, "member_id": "me"}
    assert wire.write_response(12, 1, {"error_code": 27}) == struct.pack(">ih", 0, 27)
