"""Which field of a record is which part of a tick, as the setting says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.layouts.fields import CONSTANTS, OWN_NAMES, TARGETS, Constant, FieldPath, TickFields, parse_fields


def test_no_text_gives_each_part_its_own_name() -> None:
    assert parse_fields("  ") == OWN_NAMES
    assert OWN_NAMES.path("bid") == FieldPath(("bid",))


def test_names_nested_names_and_constants() -> None:
    found = parse_fields("ts=TimestampUtc, last = trade.price ,qty=trade.size,symbol=instrument.code,broker='XNAS'")
    assert found.path("ts") == FieldPath(("TimestampUtc",))
    assert found.path("last") == FieldPath(("trade", "price"))
    assert str(found.path("qty")) == "trade.size"
    assert (found.path("broker"), found.constant("broker"), found.constant("symbol")) == (None, "XNAS", None)
    assert found.path("bid") is None, "what has no source is not read"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time", "'time' has no equals sign"),
        ("ts=t,price=p", "price: there is no such part of a tick"),
        ("ts=t,ts=u", "ts: it is given twice"),
        ("ts='2024'", "only broker and symbol may be constants"),
        ("last=p", "ts is missing"),
        ("ts=", "ts: a field name is missing"),
        ("ts=a..b", "ts: a field name is missing"),
        ("ts= .b", "ts: a field name is missing"),
        ("ts=t,broker='XNAS", "broker: a field name is missing or not closed"),
        ("ts=t,broker=''", "broker: there is nothing between the quotes"),
        ("ts=t,broker='A' symbol=s", "broker: a comma is missing"),
        ("ts=t,", "it ends with a comma"),
        ("ts=t,broker=a.'B'", "broker: a constant cannot be inside a field"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        parse_fields(text)
    assert "\n" not in str(found.value)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, FieldPath | Constant]:
    targets = ["ts", *draw(st.lists(st.sampled_from(TARGETS[1:]), unique=True))]
    sources: dict[str, FieldPath | Constant] = {}
    for target in targets:
        constant = target in CONSTANTS and draw(st.booleans())
        sources[target] = Constant(draw(NAMES)) if constant else FieldPath(tuple(draw(st.lists(NAMES, min_size=1, max_size=3))))
    return sources


def written(source: FieldPath | Constant) -> str:
    if isinstance(source, Constant):
        return "'" + source.text.replace("'", "''") + "'"
    return ".".join('"' + name.replace('"', '""') + '"' for name in source.names)


@given(fields())
def test_any_name_can_be_written_in_quotes(sources: dict[str, FieldPath | Constant]) -> None:
    text = ",".join(f"{target}={written(source)}" for target, source in sources.items())
    assert parse_fields(text) == TickFields(sources)


@given(st.text(alphabet="ts=last,.'\" ab", max_size=30))
def test_any_text_is_parsed_or_refused_with_a_reason(text: str) -> None:
    try:
        found = parse_fields(text)
    except ValueError as error:
        found, reason = None, str(error)
    assert "ts" in found.sources if found else reason
