"""Names in the paths of addresses: two of them would be taken out by clients."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app.web.segments import name_of, segment

CHARACTERS = st.characters(exclude_characters="|", exclude_categories=["Cc", "Cs"])
NAMES = st.text(CHARACTERS, min_size=1) | st.sampled_from([".", ".."])


@given(NAMES)
def test_each_name_is_found_again_in_its_segment(name: str) -> None:
    assert name_of(unquote(segment(name))) == name


@given(NAMES, NAMES)
def test_a_client_leaves_the_path_of_each_name_as_it_is(broker: str, symbol: str) -> None:
    sent = URL(f"http://host/chart/{segment(broker)}/{segment(symbol)}")
    assert [name_of(unquote(part)) for part in sent.raw_path.split("/")[2:]] == [broker, symbol]


@given(NAMES)
def test_every_name_may_have_the_mark_in_front(name: str) -> None:
    assert name_of(f"|{name}") == name


@pytest.mark.parametrize("other", ["a|.", "a|b", "a|"])
def test_a_mark_that_stands_elsewhere_stays(other: str) -> None:
    assert name_of(other) == other
