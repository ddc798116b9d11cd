"""Cursors: a position survives the round trip, and any other text is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.cursors import decode_cursor, encode_cursor
from app.web.errors import InvalidParametersError


@given(st.integers(-(1 << 60), 1 << 60), st.text(max_size=50).filter(lambda text: text.isprintable()))
def test_a_cursor_decodes_to_its_position_and_is_safe_in_a_url(number: int, text: str) -> None:
    cursor = encode_cursor(number, text)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert decode_cursor(cursor, int, str) == (number, text)


@given(st.text(max_size=30))
def test_any_other_text_is_refused_and_the_error_names_the_parameter(text: str) -> None:
    with pytest.raises(InvalidParametersError) as raised:
        decode_cursor(text, int, int, int, int)
    assert raised.value.errors[0][0] == "cursor"


@pytest.mark.parametrize("kinds", [(str,), (int, int), (str, int), ()])
def test_a_cursor_of_another_list_is_refused(kinds: tuple[type, ...]) -> None:
    with pytest.raises(InvalidParametersError):
        decode_cursor(encode_cursor(5), *kinds)


def test_a_number_that_no_offset_reaches_is_refused() -> None:
    with pytest.raises(InvalidParametersError):
        decode_cursor(encode_cursor(1 << 62), int)
