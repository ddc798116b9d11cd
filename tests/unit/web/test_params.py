"""Parameters: which texts are numbers and names, and that all others are refused."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import UrlMappingMatchInfo
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.web.endpoint import parse_params
from app.web.errors import InvalidParametersError
from app.web.params import BarsParams, SymbolsParams, WindowsParams


@pytest.mark.parametrize("text", ["", " 5", "5 ", "5.0", "1_0", "+5", "0x5", "\u0665", "true", "1e2", "9" * 19])
def test_only_digits_are_a_number(text: str) -> None:
    with pytest.raises(ValidationError):
        SymbolsParams.model_validate({"limit": text})


@given(st.integers(1, 500))
def test_digits_are_a_number(limit: int) -> None:
    assert SymbolsParams.model_validate({"limit": str(limit)}).limit == limit


@pytest.mark.parametrize("name", ["", "a|b", "a\nb", "a\x00", "x" * 1_025, "\x9f"])
def test_a_name_that_no_tick_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        WindowsParams.model_validate({"broker": name})


def test_the_time_range_is_named_from_and_to_and_nothing_else() -> None:
    params = BarsParams.model_validate({"broker": "a", "symbol": "b", "from": "5", "to": "6"})
    assert (params.since, params.until) == (5, 6)
    with pytest.raises(ValidationError):
        BarsParams.model_validate({"broker": "a", "symbol": "b", "since": "5"})


def test_one_error_names_all_invalid_parameters_and_shortens_a_long_value() -> None:
    request = make_mocked_request("GET", f"/?limit=0&broker={'x' * 2_000}&what=1", match_info=_no_match())
    with pytest.raises(InvalidParametersError) as raised:
        parse_params(WindowsParams, request)
    assert sorted(name for name, _, _ in raised.value.errors) == ["broker", "limit", "what"]
    assert all(len(value) <= 101 for _, value, _ in raised.value.errors)


def _no_match() -> UrlMappingMatchInfo:
    return UrlMappingMatchInfo({}, None)  # type: ignore[arg-type]  # the route is not used
