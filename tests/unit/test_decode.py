"""What is no tick: each kind of bad record is rejected with its reason and a detail, and changes nothing else."""

from __future__ import annotations

import pytest

from tables.config import EngineConfig
from tables.engine import Engine
from tables.records import SideRecord
from tables.state import SymbolState, decode_state, encode_state
from tests.unit.model import Wire

DAY = 1_399_248_000_000
GOOD = f'{{"ts": {DAY}, "bid": 1.5}}'


def value(bid: str = "1.5", more: str = "", ts: str = str(DAY)) -> str:
    """A tick with one thing in it that is not as it should be."""
    return f'{{"ts": {ts}, "bid": {bid}{more}}}'


def judged(data: str | bytes | None, key: bytes | None = b"A|x", **config: str) -> SideRecord | None:
    """The record as it was rejected, between two good ticks that must not notice; None if it was taken."""
    engine = Engine(EngineConfig(**config))  # type: ignore[arg-type]  # names of text settings only
    payload = data.encode() if isinstance(data, str) else data
    good = GOOD.replace("bid", "ask").encode() if config.get("price") == "ask" else GOOD.encode()
    if config.get("price") in {"mid", "last"}:
        good = f'{{"ts": {DAY}, "bid": 1.5, "ask": 1.5, "last": 1.5}}'.encode()
    engine.feed([Wire(4, DAY, b"A|x", good), Wire(5, DAY, key, payload), Wire(6, DAY, b"A|x", good)])
    counters, side = engine.counters, engine.take_side()
    assert counters.read == 3
    if not side:
        assert counters.binned + counters.heartbeats == 3
        return None
    assert (counters.binned, counters.rejected, engine.open_windows) == (2, 1, 1)
    (record,) = side
    assert (record.offset, record.kind) == (5, "rejected")
    assert (record.record.key, record.record.value) == (key, payload)
    assert record.detail
    assert record.detail.isprintable()
    return record


def reason(data: str | bytes | None, key: bytes | None = b"A|x", **config: str) -> str:
    """Why a record was rejected."""
    record = judged(data, key, **config)
    assert record is not None, "it was taken as a tick"
    return record.reason


@pytest.mark.parametrize("data", [None, b"", ""])
def test_a_record_without_a_value_is_rejected_as_empty(data: str | bytes | None) -> None:
    assert reason(data) == "empty"


@pytest.mark.parametrize(
    "data",
    [
        "hello",
        GOOD[:-1],
        GOOD + "}",
        GOOD + GOOD,
        value("NaN"),
        value("Infinity"),
        value("-Infinity"),
        value("1,5"),
        value("01.5"),
        value("'1.5'"),
        b"\xff\xfe\x00",
        '{"a":' * 100_000,
        " ",
    ],
)
def test_what_is_not_json_is_rejected_as_json(data: str | bytes) -> None:
    assert reason(data) == "json"


@pytest.mark.parametrize(
    "data",
    ["[]", "[" * 100_000, "1", "null", '"text"', "true", value("[1.5]"), value("{}"), value("true"), value(more=', "seq": "1"'),
     value(more=', "seq": 1.5'), value(more=', "qty": []'), value(more=', "heartbeat": 1'), value(ts="true"),
     value(ts="[]"), value(ts="1399248000000.5"), value(ts="null"), value(more=', "broker": 1'), value(more=', "symbol": {}')],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_rejected_as_type(data: str) -> None:
    assert reason(data) == "type"


@pytest.mark.parametrize(
    ("data", "price", "field"),
    [
        ("{}", "bid", "ts"),
        ('{"bid": 1.5}', "bid", "ts"),
        ('{"heartbeat": true}', "bid", "ts"),
        (f'{{"ts": {DAY}}}', "bid", "bid"),
        (value("null"), "bid", "bid"),
        (f'{{"ts": {DAY}, "heartbeat": false}}', "bid", "bid"),
        (value(), "ask", "ask"),
        (value(), "last", "last"),
        (value(), "mid", "ask"),
        (f'{{"ts": {DAY}, "ask": 1.5}}', "mid", "bid"),
    ],
)
def test_a_missing_field_is_named(data: str, price: str, field: str) -> None:
    record = judged(data, price=price)
    assert record is not None
    assert record.reason == "missing"
    assert record.detail.startswith(field)


@pytest.mark.parametrize(
    "bid",
    ["0", "-0", "0.000", "-1.5", '"-1.5"', '"NaN"', '"sNaN"', '"Infinity"', '"-inf"', "1" * 35, "1." + "3" * 34, "1" * 400,
     "1." + "0" * 34, "1." + "0" * 900_000, '"' + "1" * 400 + '"', "1e400", "1e-400", '"1e999999"', "1e35", '"text"', '""',
     '"0x10"'],
)  # fmt: skip
def test_a_price_that_is_none_is_rejected_as_price(bid: str) -> None:
    assert reason(value(bid)) == "price"


@pytest.mark.parametrize("bid", ["1" * 34, "0." + "0" * 30 + "1", '"1.50"', "1e3", "1.5E-3", "9" * 17 + "." + "9" * 17])
def test_a_price_of_up_to_34_digits_is_taken(bid: str) -> None:
    assert judged(value(bid)) is None


@pytest.mark.parametrize("qty", ["-1", '"-0.1"', '"NaN"', '"Infinity"', "1" * 35, "1." + "0" * 34, "1" * 400, "1e400"])
def test_a_quantity_that_is_none_is_rejected_as_qty(qty: str) -> None:
    assert reason(value(more=f', "qty": {qty}')) == "qty"


@pytest.mark.parametrize("qty", ["0", "0.00", "1", '"2.50"', "null", "1" * 34])
def test_a_quantity_of_0_or_more_or_none_at_all_is_taken(qty: str) -> None:
    assert judged(value(more=f', "qty": {qty}')) is None


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"A",
        b"|",
        b"A|",
        b"|x",
        b"A|x|y",
        b"A|x|",
        b"||",
        b"A\n|x",
        b"A|x\x00",
        b"A|\x1b[2J",
        b"A|\xc2\x85",
        b"\xff|x",
        b"A|" + b"x" * 1_023,
        b"x" * 600_000 + b"|A",
    ],
)
def test_a_key_that_is_not_broker_and_symbol_is_rejected_as_key(key: bytes | None) -> None:
    assert reason(GOOD, key) == "key"


@pytest.mark.parametrize(
    "more",
    [
        ', "broker": "B"',
        ', "symbol": "y"',
        ', "broker": "A", "symbol": "X"',
        ', "symbol": ""',
        ', "broker": "A|x"',
    ],
)
def test_a_value_that_disagrees_with_its_key_is_rejected_as_key(more: str) -> None:
    assert reason(value(more=more)) == "key"
    assert reason(f'{{"ts": {DAY}, "heartbeat": true{more}}}') == "key"


@pytest.mark.parametrize("more", [', "broker": "A"', ', "symbol": "x"', ', "symbol": "x", "broker": "A"', ', "broker": null'])
def test_a_value_that_repeats_its_key_is_taken(more: str) -> None:
    assert judged(value(more=more)) is None


@pytest.mark.parametrize("key", ["Börse Zürich|EUR/USD", "東京|7203", "A|x y", "a.b:c|d-e_f"])
def test_names_may_hold_anything_readable(key: str) -> None:
    assert judged(GOOD, key.encode()) is None


@pytest.mark.parametrize(
    ("ts", "unit"),
    [
        pytest.param("1399248000", "ms", id="seconds where milliseconds are expected"),
        pytest.param("1399248000000", "us", id="milliseconds where microseconds are expected"),
        pytest.param("1399248000000000", "ns", id="microseconds where nanoseconds are expected"),
        pytest.param("631151999999", "ms", id="a moment before 1990"),
        pytest.param("0", "ms", id="zero"),
        pytest.param("-1", "ms", id="before 1970"),
        pytest.param('"yesterday"', "ms", id="text"),
        pytest.param('"1399248000000"', "ms", id="a number in quotes"),
        pytest.param('"2014-05-05T00:00:00"', "ms", id="no offset"),
        pytest.param('"2014-05-05"', "ms", id="a date"),
        pytest.param('"2014-13-05T00:00:00Z"', "ms", id="month 13"),
        pytest.param('"2014-02-30T00:00:00Z"', "ms", id="30 February"),
        pytest.param('"2014-05-05T24:00:00Z"', "ms", id="hour 24"),
        pytest.param('"2014-05-05T00:00:00+99:99"', "ms", id="an offset that is none"),
        pytest.param('"0000-05-05T00:00:00Z"', "ms", id="year 0"),
        pytest.param('"1970-01-01T00:00:00Z"', "ms", id="text before 1990"),
        pytest.param('""', "ms", id="empty text"),
    ],
)
def test_what_is_no_time_is_rejected_as_ts(ts: str, unit: str) -> None:
    engine = Engine(EngineConfig(time_unit=unit))
    engine.feed([Wire(0, DAY, b"A|x", value(ts=ts).encode())])
    assert [(record.kind, record.reason) for record in engine.take_side()] == [("rejected", "ts")]


def test_the_first_moment_of_1990_is_taken() -> None:
    engine = Engine(EngineConfig())
    engine.feed([Wire(0, DAY, b"A|x", value(ts="631152000000").encode())])
    assert engine.counters.binned == 1


@pytest.mark.parametrize(
    "ts",
    [
        "1399248000000000",
        "1" * 19,
        "9" * 30,
        "1" + "0" * 400,
        '"2014-05-05T01:00:00Z"',
        '"9999-12-31T23:59:59Z"',
    ],
)
def test_a_time_far_ahead_is_rejected(ts: str) -> None:
    assert reason(value(ts=ts)) in {"future", "type", "ts"}


@pytest.mark.parametrize("seq", [2**63, 2**64, -(2**63) - 1, 10**40, int("7" * 4_000), -int("7" * 4_000)])
def test_a_sequence_number_of_more_than_64_bits_is_rejected_as_type(seq: int) -> None:
    assert reason(value(more=f', "seq": {seq}')) == "type"


def test_a_sequence_number_that_no_program_reads_is_rejected_as_type() -> None:
    assert reason(value(more=f', "seq": {"7" * 5_000}')) == "type"


@pytest.mark.parametrize("seq", [2**63 - 3, -(2**63)])
def test_the_largest_sequence_numbers_decide_and_are_stored_exactly(seq: int) -> None:
    engine = Engine(EngineConfig())
    ticks = [value(f"{1 + n}.5", f', "seq": {seq + n}') for n in (1, 2, 0)]
    engine.feed([Wire(n, DAY, b"A|x", tick.encode()) for n, tick in enumerate(ticks)])
    (window,) = decode_state(encode_state(SymbolState(engine.symbols[b"A|x"].windows()))).windows
    assert (window.open_seq, window.close_seq) == (seq, seq + 2)
    assert (str(window.open), str(window.close)) == ("1.5", "3.5")


def test_a_value_of_a_megabyte_is_rejected_or_taken_for_what_it_says_and_not_for_its_size() -> None:
    filler = "x" * 1_000_000
    assert reason(filler) == "json"
    assert reason(f'{{"ts": "{filler}", "bid": 1}}') == "ts"
    assert reason(f'{{"bid": 1, "note": "{filler}"}}') == "missing"
    assert judged(value(more=f', "note": "{filler}"')) is None
    assert len(judged(filler).detail) < 1_000  # type: ignore[union-attr]


def test_fields_we_do_not_know_are_ignored() -> None:
    assert judged(value(more=', "venue": {"deep": [1, 2, {"er": null}]}, "flags": []')) is None


def test_a_bad_ask_does_not_matter_where_bids_make_the_bar() -> None:
    assert judged(value(more=', "ask": -1')) is None


def test_each_side_of_a_mid_price_is_checked() -> None:
    assert reason(value(more=', "ask": 0'), price="mid") == "price"
    assert reason(value("0", ', "ask": 1'), price="mid") == "price"


def test_a_heartbeat_needs_no_price_and_its_price_is_not_looked_at() -> None:
    assert judged(f'{{"ts": {DAY}, "heartbeat": true}}') is None
    assert judged(value("-1", ', "heartbeat": true')) is None


@pytest.mark.parametrize(
    ("data", "named"),
    [(value("-1.5"), "bid: '-1.5'"), (value(more=', "qty": -7'), "qty: '-7'"), (value(ts="5"), "ts: 5")],
)
def test_the_detail_names_the_field_and_the_value(data: str, named: str) -> None:
    record = judged(data)
    assert record is not None
    assert record.detail.startswith(named)


def test_control_characters_of_a_bad_record_do_not_reach_the_detail() -> None:
    record = judged(value('"\\u001b[2J\\u0000"'))
    assert record is not None
    assert "\x1b" not in record.detail
