"""Access rules: the forms of the token, the names in the Host header, and the addresses that need a token."""

from __future__ import annotations

import base64
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.settings import Settings
from app.settings.addresses import loopback
from app.web.security.access import allowed_hosts, check_bind_address, has_token, is_allowed_host, required_token


def settings(**given: object) -> Settings:
    return Settings.load(_env_file=None, **given)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("header", ["Bearer s:cret", "bearer s:cret", basic("me", "s:cret"), basic("", "s:cret")])
def test_the_token_is_accepted_as_a_bearer_or_as_the_password_of_any_user(header: str) -> None:
    assert has_token(header, b"s:cret")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "s:cret", "Digest s:cret", basic("s:cret", ""), "Basic %%%"])
def test_any_other_header_is_refused(header: str) -> None:
    assert not has_token(header, b"s:cret")


@given(st.text(max_size=40))
def test_no_header_breaks_the_check(text: str) -> None:
    assert not has_token(f"Bearer {text}", b"a token that nobody guesses")
    assert not has_token(f"Basic {text}", b"a token that nobody guesses")
    assert isinstance(is_allowed_host(text, frozenset()), bool)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:6066",
        "127.0.0.1",
        "[::1]:6066",
        "10.0.0.7:80",
        "bars.example:6066",
        "BARS.example",
        "w1",
        socket.gethostname(),
    ],
)
def test_requests_to_ip_addresses_and_to_names_of_the_worker_are_allowed(host: str) -> None:
    names = allowed_hosts(settings(web_hosts="bars.example, other", web_url="http://w1:6066"))
    assert is_allowed_host(host, names)


@pytest.mark.parametrize(
    "host", ["evil.example", "", "localhost.evil.example", "127.0.0.1.evil.example", "[", "bars.example@evil"]
)
def test_requests_to_other_names_are_refused(host: str) -> None:
    assert not is_allowed_host(host, allowed_hosts(settings(web_hosts="bars.example")))


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("host", False)]
)
def test_loopback_addresses_are_known(host: str, here: bool) -> None:  # noqa: FBT001  # a table
    assert loopback(host) is here


def test_an_address_that_other_machines_reach_needs_a_token_or_web_auth_none() -> None:
    with pytest.raises(SettingsError, match="set web_token, or web_auth=none"):
        settings(web_host="0.0.0.0")
    assert required_token(settings(web_host="0.0.0.0", web_token="x")) == b"x"
    assert required_token(settings(web_host="0.0.0.0", web_auth="none", web_token="x")) == b""
    check_bind_address(settings(), "127.0.0.1")
    with pytest.raises(SettingsError, match="set web_token"):
        check_bind_address(settings(), "0.0.0.0")
