"""Bars as Avro and Protobuf: other programs' decoders read what the bars say, and no tick makes one that does not fit."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from importlib.resources import files
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from tables.bar_formats import avro, protobuf
from tables.bar_formats.format import framing
from tables.bar_formats.numbers import PRICE_DIGITS, QUANTITY_DIGITS, BarNumbers
from tables.bar_formats.records import BAR_HEADER, FORMATS, BarRecords, ClosedBar, bar_of, closed_bar
from tables.bars import Bar, bar_key, decode_bar, encode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tables.window import Window, new_window
from tests.support.examples import examples
from tests.support.protobuf_text import message_class
from tests.unit.model import Wire, bars_of

PROFILE = settings(max_examples=examples(check=20, full=150, thorough=10_000), deadline=None)
T0 = 1_700_000_040_000
MINUTE = 60_000
DECIMALS = ("open", "high", "low", "close", "volume", "vwap")
TIMES = ("bucket_start", "bucket_end", "first_ts", "last_ts", "closed_at", "watermark")
SCHEMAS = files("tables.bar_formats") / "schemas"
AVSC, PROTO = ((SCHEMAS / f"bar-1.{suffix}").read_text() for suffix in ("avsc", "proto"))

names = st.text(st.characters(codec="utf-8", exclude_characters="|", exclude_categories=("Cc", "Cs")), min_size=1, max_size=80)
int64 = st.integers(0, (1 << 63) - 1)
times = st.integers(-62_135_596_800_000, 253_402_300_799_999)  # the years 1 to 9999


@st.composite
def numbers(draw: st.DrawFn, scale: int) -> Decimal:
    digits = draw(st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-200, 200))
    with localcontext(prec=400):
        return Decimal(digits).scaleb(-scale) * 1


@st.composite
def bars(draw: st.DrawFn) -> tuple[Bar, int]:
    """Any bar, and a scale that its numbers fit."""
    scale = draw(st.integers(0, 18))
    number = numbers(scale)
    values: dict[str, Any] = {name: draw(number) for name in DECIMALS[:4]}
    values |= {name: draw(st.none() | number) for name in DECIMALS[4:]}
    values |= {name: draw(times) for name in TIMES}
    values |= {name: draw(int64) for name in ("ticks", "first_offset", "last_offset", "closed_at_offset")}
    values |= {"broker": draw(names), "symbol": draw(names), "close_reason": draw(st.sampled_from(["watermark", "idle"]))}
    values |= {"revision": draw(st.integers(0, (1 << 31) - 1)), "partial": draw(st.sampled_from([True, UNSET]))}
    return Bar(**values), scale


def shown(bar: Bar) -> dict[str, Any]:
    """The bar as a reader of another program has it."""
    found = {name: getattr(bar, name) for name in bar.__struct_fields__}
    found |= {name: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found[name]) for name in TIMES}
    return found | {"partial": bar.partial is True, "corrected": None, "frame": None}


def avro_schema(scale: int) -> Any:
    return fastavro.parse_schema(json.loads(AVSC.replace('"scale": 9', f'"scale": {scale}')))


def read_avro(content: bytes, scale: int) -> dict[str, Any]:
    found: Any = fastavro.schemaless_reader(io.BytesIO(content), avro_schema(scale), None)
    return dict(found)


def read_protobuf(content: bytes) -> dict[str, Any]:
    message = message_class(PROTO, "barwheel.Bar").FromString(content)
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.has_presence and not message.HasField(field.name):
            value = None
        elif field.name in DECIMALS:
            assert (value.precision, value.scale <= 18) == (38, True)
            with localcontext(prec=400):
                value = Decimal(int.from_bytes(value.value, signed=True)).scaleb(-value.scale)
        elif field.name in TIMES:
            value = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)
        found[field.name] = value
    return found


@PROFILE
@given(bars())
def test_other_decoders_read_what_the_bar_says(drawn: tuple[Bar, int]) -> None:
    bar, scale = drawn
    assert read_avro(avro.encode(bar, scale), scale) == shown(bar)
    out = io.BytesIO()
    with localcontext(prec=400):
        fastavro.schemaless_writer(out, avro_schema(scale), shown(bar))
    assert avro.decode(out.getvalue(), scale) == bar, "as another encoder writes it"
    assert read_protobuf(protobuf.encode(bar, scale)) == shown(bar)


@given(bars(), st.none() | st.integers(1, 1 << 20), st.none() | st.sampled_from(["5m", "1M"]))
@settings(PROFILE, max_examples=10)
def test_corrections_and_longer_frames_have_the_same_schema(
    drawn: tuple[Bar, int], corrected: int | None, frame: str | None
) -> None:
    bar, scale = drawn
    wanted = shown(bar) | {"corrected": corrected, "frame": frame}
    assert read_avro(avro.encode(bar, scale, corrected, frame), scale) == wanted
    assert read_protobuf(protobuf.encode(bar, scale, corrected, frame)) == wanted
    for form in FORMATS.values():
        found = form.decode(form.encode(bar, scale, corrected, frame), scale)
        assert found.close == bar.close


@PROFILE
@given(bars(), st.sampled_from(sorted(FORMATS)), st.integers(0, (1 << 31) - 1))
def test_our_readers_give_the_bar_back(drawn: tuple[Bar, int], name: str, schema_id: int) -> None:
    bar, scale = drawn
    form = FORMATS[name]
    value = framing(schema_id, form.index) + form.encode(bar, scale, None, None)
    headers = [("app_id", b"x"), (BAR_HEADER, b"%b-1 %d idle 1 2 3" % (name.encode(), scale))]
    assert bar_of(value, headers) == bar
    assert bar_of(encode_bar(bar), []) == bar
    for number in (getattr(bar_of(value, headers), field) for field in DECIMALS):
        if number is not None and number == number.to_integral_value():
            assert number.as_tuple().exponent == 0, "no zeros that the scale has added"


@PROFILE
@given(
    st.binary(max_size=200),
    st.sampled_from([b"avro-1 9", b"avro-1 x", b"avro-2 9 idle", b"protobuf-1 9 idle 1 2 3", b"protobuf-1", b"", None]),
    bars(),
    st.integers(0, 300),
    st.binary(max_size=4),
)
def test_no_bytes_are_more_than_no_bar(
    content: bytes, header: bytes | None, drawn: tuple[Bar, int], at: int, put: bytes
) -> None:
    bar, scale = drawn
    headers = [] if header is None else [(BAR_HEADER, header)]
    for form in FORMATS.values():
        good = framing(1, form.index) + form.encode(bar, scale, None, None)
        for value in (b"\0" + content, b"\0\0\0\0\1" + content, b"\0\0\0\0\1\0" + content, good[:at] + put + good[at:]):
            record = Wire(0, 0, content, value, headers)
            with suppress(msgspec.MsgspecError):
                bar_of(value, headers)
            with suppress(msgspec.MsgspecError):
                closed_bar(record, MINUTE)


def test_a_number_longer_than_any_is_said_to_be_none() -> None:
    one = Decimal(1)
    bar = Bar("A", "x", 0, 1, one, one, one, one, None, None, 1, 0, 0, "idle", 0, 0, 0, 0, 0)
    for name, short, long in (
        ("avro", b"\2\1", b"\xa0\6" + b"\1" * 400),
        ("protobuf", b"\x2a\x07\n\1\1", b"\x2a\x97\3\n\x90\3" + b"\1" * 400),
    ):
        form = FORMATS[name]
        good = framing(1, form.index) + form.encode(bar, 0, None, None)
        assert short in good
        with pytest.raises(msgspec.DecodeError):
            bar_of(good.replace(short, long, 1), [(BAR_HEADER, name.encode() + b"-1 0 idle 0 0 0")])


# ---- from ticks to records


def engine_of(scale: int | None, **more: Any) -> Engine:
    return Engine(EngineConfig(bar_scale=scale, positive=False, **more))


def fed(engine: Engine, ticks: list[tuple[str, str | None]], *, slow: bool, only: list[bool] | None = None) -> Engine:
    """Ticks of one minute, or only some of them; then silence."""
    records = []
    for n, (price, qty) in enumerate(ticks):
        if only is None or only[n]:
            more = "" if qty is None else f',"qty":{qty}'
            records.append(Wire(n, T0 + 10_000, b"A|x", f'{{"ts":{T0 + n},"bid":{price}{more}}}'.encode()))
    if slow:
        engine.feed(records, arrival_cap=T0 + 10_000)
    else:
        engine.feed_same_arrival(records, T0 + 10_000)
    engine.advance_arrival(T0 + 10 * MINUTE)
    return engine


def fits(text: str, scale: int, digits: int) -> bool:
    """By arithmetic on whole numbers alone."""
    with localcontext(prec=400):
        scaled = Decimal(text) * 10**scale
        return bool(scaled == scaled.to_integral_value() and abs(scaled) < 10**digits)


@st.composite
def texts(draw: st.DrawFn) -> str:
    sign, digits = draw(st.sampled_from(["", "-"])), draw(st.integers(0, 10**34 - 1) | st.integers(0, 10**6))
    exponent = draw(st.integers(-33, 0) | st.sampled_from([0, -2, -9]))
    with localcontext(prec=400):
        text = f"{Decimal(digits).scaleb(exponent):f}"
    return sign + text + draw(st.sampled_from(["", "", "000"])) if "." in text else sign + text


@PROFILE
@given(
    st.lists(st.tuples(texts(), st.none() | texts().map(lambda text: text.lstrip("-"))), min_size=1, max_size=8),
    st.integers(0, 18),
    st.booleans(),
    st.sampled_from(sorted(FORMATS)),
)
def test_a_tick_that_does_not_fit_is_rejected_and_every_bar_fits(
    ticks: list[tuple[str, str | None]],
    scale: int,
    slow: bool,  # noqa: FBT001  # drawn
    name: str,
) -> None:
    engine, plain = fed(engine_of(scale), ticks, slow=slow), fed(engine_of(None), ticks, slow=slow)
    taken = plain.take_side()
    usual = {side.offset for side in taken}  # more than 34 digits: rejected in any format
    good = [
        n not in usual and fits(price, scale, PRICE_DIGITS) and (qty is None or fits(qty, scale, QUANTITY_DIGITS))
        for n, (price, qty) in enumerate(ticks)
    ]
    side = engine.take_side()
    assert [n not in {one.offset for one in side} for n in range(len(ticks))] == good
    assert {one.reason for one in side if one.offset not in usual} <= {"scale"}
    assert all("bars_scale=" in one.detail for one in side if one.reason == "scale")
    assert engine.counters.balanced()
    kept = fed(engine_of(None), ticks, slow=slow, only=good)
    records = list(BarRecords(name, 1, scale).take(engine.take_closed(), []))
    wanted = [bar for closed in kept.take_closed() for bar in bars_of(closed)]
    assert len(records) == len(wanted) == (1 if any(good) else 0)
    for (key, value, start, headers), bar in zip(records, wanted, strict=True):
        found = bar_of(value, headers)
        assert (key, start) == (bar_key("A", "x", T0), T0)
        same = ("open", "high", "low", "close", "volume", "ticks", "close_reason", "closed_at", "watermark")
        assert [getattr(found, field) for field in same] == [getattr(bar, field) for field in same]
        assert (found.vwap is None) == (bar.vwap is None)
        if found.vwap is not None and bar.vwap is not None:
            with localcontext(prec=400):
                assert abs(found.vwap - bar.vwap) <= Decimal(10) ** -min(scale, 8)
        read = read_avro(value[5:], scale) if name == "avro" else read_protobuf(value[6:])
        assert read == shown(found)


@pytest.mark.parametrize("scale", [0, 9, 18])
def test_the_largest_numbers_that_a_tick_may_have_make_a_bar(scale: int) -> None:
    with localcontext(prec=400):
        price, qty = (Decimal(10**digits - 1).scaleb(-scale) for digits in (PRICE_DIGITS, QUANTITY_DIGITS))
    window = new_window(T0 + MINUTE, T0, price, T0, 0, 0)
    for _ in range(1_000):
        window.add_quantity(price, qty)
    volume, notional = window.volume, window.notional
    assert volume is not None
    assert notional is not None
    with localcontext(prec=400):
        window.volume, window.notional = volume * 10**9, notional * 10**9  # 10^12 ticks
        vwap = BarNumbers(scale).vwap(window)
        wide = Decimal(10**PRICE_DIGITS).scaleb(-scale)
        assert vwap in (price, wide), "rounded up to a power of ten"
    numbers = price, price, price, price, window.volume, vwap
    found = Bar("A", "x", T0, T0 + MINUTE, *numbers, 10**12, T0, T0, "idle", T0, T0, 0, 0, 0)
    with localcontext(prec=400):
        assert all(abs(getattr(found, name) * 10**scale) < 10**38 for name in DECIMALS)
    for form in FORMATS.values():
        assert form.decode(form.encode(found, scale, None, None), scale) == found
    assert read_avro(avro.encode(found, scale), scale) == shown(found)


@pytest.mark.parametrize(("scale", "vwap"), [(0, "2"), (2, "1.67"), (8, "1.66666667"), (18, "1.66666667")])
def test_a_vwap_is_rounded_to_8_decimals_or_to_the_scale(scale: int, vwap: str) -> None:
    closed = fed(engine_of(scale), [("1", "1"), ("2", "2")], slow=False).take_closed()
    ((_, value, _, headers),) = BarRecords("avro", 7, scale).take(closed, [])
    assert bar_of(value, headers).vwap == Decimal(vwap)


def test_the_fast_path_refuses_what_the_rules_refuse() -> None:
    ticks: list[tuple[str, str | None]] = [("1", None), ("0E+2", None), ("0E-9", None), ("0E-35", None), ("2E+2", None)]
    both = [fed(engine_of(9), ticks, slow=slow).take_side() for slow in (True, False)]
    assert [[(side.offset, side.reason) for side in one] for one in both] == [[(1, "price"), (3, "price")]] * 2


def test_recovery_needs_the_header_and_the_key_alone() -> None:
    (record,) = BarRecords("avro", 7, 9).take(fed(engine_of(9), [("1.5", None)], slow=False).take_closed(), [("app_id", b"me")])
    key, value, _, headers = record
    bar = bar_of(value, headers)
    told = closed_bar(Wire(0, 0, key, b"\0 a newer version's, or cut off", headers), MINUTE)
    assert isinstance(told, ClosedBar)
    for field in told.__struct_fields__:
        assert getattr(told, field) == getattr(bar, field)
    assert dict(headers)["app_id"] == b"me"
    in_json = closed_bar(Wire(0, 0, key, encode_bar(bar), ()), MINUTE)
    assert in_json == decode_bar(encode_bar(bar))


def test_windows_of_another_format_that_fit_no_bar_are_found() -> None:
    engine = Engine(EngineConfig())
    engine.feed_same_arrival([Wire(0, T0, b"A|x", b'{"ts":%d,"bid":1.0000000001}' % T0)], T0)
    windows: Iterator[Window] = (window for _, window in engine.windows.every_window())
    assert BarNumbers(9).unfit(windows) == Decimal("1.0000000001")
    assert BarNumbers(10).unfit(window for _, window in engine.windows.every_window()) is None
    engine.advance_arrival(T0 + 10 * MINUTE)
    assert BarNumbers(9).unfit(window for _, window in engine.windows.every_window()) is not None, "closed, and not sent"
