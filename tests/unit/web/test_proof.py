"""Proofs between workers: good for one request to one worker, for a few minutes, and for nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.security.proof import MAX_AGE_MS, is_proof, proof

TOKEN, URL, NOW = b"a secret", "http://worker-1:6066", 1_700_000_000_000
PATH, QUERY = "/api/v1/why/b/EUR%2FUSD/1", {"local": "true", "broker": "fx a&b"}
PLAIN = "/api/v1/why/b/EUR/USD/1"  # as the server sees it


def test_a_proof_is_accepted_whatever_the_order_of_the_query_and_does_not_hold_the_token() -> None:
    made = proof(TOKEN, f"{URL}/", PATH, QUERY, NOW)
    assert is_proof(made, TOKEN, URL, PLAIN, reversed(QUERY.items()), NOW + 1_000)
    assert "secret" not in made


@pytest.mark.parametrize(
    "change",
    [
        {"token": b"another"},
        {"url": "http://worker-2:6066"},
        {"path": "/api/v1/status"},
        {"query": [("local", "true")]},
        {"query": [("local", "true"), ("broker", "fx")]},
        {"query": [("local", "truebroker"), ("", "fx a&b")]},
        {"now": NOW + MAX_AGE_MS + 1},
        {"now": NOW - MAX_AGE_MS - 1},
    ],
)
def test_a_proof_is_refused_for_anything_else(change: dict[str, object]) -> None:
    asked: dict[str, object] = {"token": TOKEN, "url": URL, "path": PLAIN, "query": QUERY.items(), "now": NOW}
    assert not is_proof(proof(TOKEN, URL, PATH, QUERY, NOW), **{**asked, **change})  # type: ignore[arg-type]


@given(st.text())
def test_no_header_is_a_proof_by_chance_and_none_breaks_the_check(text: str) -> None:
    assert not is_proof(text, TOKEN, URL, PLAIN, [], NOW)
    assert not is_proof(f"Barwheel-HMAC {text}", TOKEN, URL, PLAIN, [], NOW)
    assert not is_proof(f"Barwheel-HMAC {NOW}:{text}", TOKEN, URL, PLAIN, [], NOW)
