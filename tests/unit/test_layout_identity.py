"""Broker and symbol from keys of any form, from fields, and from constants."""

from __future__ import annotations

import pytest

from tables.layouts.fields import Constant, FieldPath, Source
from tables.layouts.identity import Identities, KeyPattern
from tables.ticks import RejectedError


@pytest.mark.parametrize(
    ("pattern", "key", "parts"),
    [
        ("{broker}|{symbol}", b"A|x", {"broker": "A", "symbol": "x"}),
        ("{symbol}", b"EUR/USD", {"symbol": "EUR/USD"}),
        ("{broker}.{symbol}", b"NYSE.BRK.B", {"broker": "NYSE", "symbol": "BRK.B"}),
        ("{symbol}.{broker}", b"BRK.B.NYSE", {"broker": "NYSE", "symbol": "BRK.B"}),
        ("{broker}::{symbol}", b"A:B::c::d", {"broker": "A:B", "symbol": "c::d"}),
        ("md.{broker}:{symbol}.v1", b"md.A:x.v1", {"broker": "A", "symbol": "x"}),
        ('"{symbol}"', b'"x"', {"symbol": "x"}),
        ("{broker}", b"A|B", {"broker": "A|B"}),
        ("", b"anything\xff", {}),
        ("", None, {}),
    ],
)
def test_a_key_gives_the_parts_of_its_pattern(pattern: str, key: bytes | None, parts: dict[str, str]) -> None:
    assert KeyPattern(pattern).parse(key) == parts


@pytest.mark.parametrize(
    ("pattern", "key"),
    [("{broker}|{symbol}", None), ("{broker}|{symbol}", b"x"), ("{broker}|{symbol}", b"|x"), ("{broker}|{symbol}", b"A|"),
     ("{symbol}", b""), ("{symbol}", b"\xff"), ("{symbol}", b"x" * 2_000), ("a.{symbol}", b"axx")],
)  # fmt: skip
def test_a_key_of_another_form_is_rejected(pattern: str, key: bytes | None) -> None:
    with pytest.raises(RejectedError, match=r"^key: ") as caught:
        KeyPattern(pattern).parse(key)
    assert caught.value.reason == "key"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("{name}", "{name} is unknown"), ("abc", "neither {broker} nor {symbol}"), ("{symbol}{broker}", "a text between"),
     ("{symbol}-{symbol}", "once each"), ("{}", "{} is unknown")],
)  # fmt: skip
def test_a_pattern_that_cannot_be_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KeyPattern(pattern)


FIELD = FieldPath(("i", "code"))
BROKER = Constant("A")


@pytest.mark.parametrize(
    ("pattern", "broker", "symbol", "record", "made"),
    [
        ("{broker}|{symbol}", None, None, (b"A|x", None, None), b"A|x"),
        ("{symbol}", BROKER, None, (b"x", None, None), b"A|x"),
        ("", BROKER, FIELD, (b"k", None, "x"), b"A|x"),
        ("", BROKER, FIELD, (None, None, 42), b"A|42"),
        ("{broker}.{symbol}", None, FIELD, (b"A.x", None, "x"), b"A|x"),
        ("{broker}.{symbol}", None, FIELD, (b"A.x", None, None), b"A|x"),
        ("{broker}|{symbol}", BROKER, None, (b"A|x", None, None), b"A|x"),
        ("{symbol}", FieldPath(("b",)), None, (b"x", "A", None), b"A|x"),
    ],
)
def test_the_name_comes_from_wherever_the_settings_say(
    pattern: str,
    broker: Source | None,
    symbol: Source | None,
    record: tuple[bytes | None, str | None, str | int | None],
    made: bytes,
) -> None:
    assert Identities(KeyPattern(pattern), broker, symbol).of_record(*record) == made


@pytest.mark.parametrize(
    ("pattern", "record", "reason", "said"),
    [
        ("{broker}|{symbol}", (b"A|x", None, "y"), "key", "i.code: the value says 'y', the key says 'x'"),
        ("{broker}|{symbol}", (b"B|x", None, "x"), "key", "broker: the setting says 'A', the key says 'B'"),
        ("", (b"x", None, None), "missing", "i.code: the field is missing"),
        ("", (None, None, ""), "key", "i.code: the symbol '' is empty"),
        ("", (None, None, "a|b"), "key", "i.code: the symbol 'a|b' holds a |"),
        ("", (None, None, "a\n"), "key", "i.code: the symbol 'a\\n' has control characters"),
        ("", (None, None, "x" * 1_100), "key", "have 1102 bytes"),
        ("{broker}:{symbol}", (b"A:x|y", None, None), "key", "key: the symbol 'x|y' holds a |"),
    ],
)
def test_names_that_differ_or_cannot_be_are_rejected(
    pattern: str, record: tuple[bytes | None, str | None, str | None], reason: str, said: str
) -> None:
    names = Identities(KeyPattern(pattern), BROKER, FIELD)
    for _ in range(2):
        with pytest.raises(RejectedError) as caught:
            names.of_record(*record)
        assert caught.value.reason == reason
        assert said in caught.value.detail
    assert not names.known
