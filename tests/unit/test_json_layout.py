"""JSON in other layouts against a plain reference, and the same ticks in several layouts against the default one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.config import LayoutConfig
from tables.layouts.layout import OwnLayout, TickLayout, tick_of
from tables.layouts.make import make_layout
from tables.records import TickRecord
from tables.ticks import RejectedError
from tests.support.examples import examples
from tests.support.reference import Entry
from tests.unit.model import Wire, shown, take_finals, wire
from tests.unit.test_engine_properties import PROFILE, configs, last_arrival, logs

FUZZ = settings(max_examples=examples(check=200, full=300, thorough=50_000), deadline=None)
NESTED = LayoutConfig(
    price="last",
    fields="ts=t.at,last=trade.price,qty=trade.size,seq=\"n.o\",symbol=i.code,broker='X',heartbeat=t.beat",
    key="",
    zone="Europe/Zurich",
)
FLAT = LayoutConfig(fields="ts=T,bid=B,symbol=s", key="{broker}", number_unit="s")
MID = LayoutConfig(price="mid", fields="ts=T,bid=q.b,ask=q.a")
PATHS = {
    NESTED: {
        "ts": "t.at",
        "price": "trade.price",
        "qty": "trade.size",
        "seq": "n.o",
        "said_symbol": "i.code",
        "heartbeat": "t.beat",
    },
    FLAT: {"ts": "T", "price": "B", "said_symbol": "s"},
    MID: {"ts": "T", "price": "q.b", "other": "q.a"},
}
KEYS = {NESTED: None, FLAT: b"A", MID: b"A|x"}


def decoded(layout: TickLayout, key: bytes | None, value: bytes | None) -> TickRecord:
    assert layout.decoded is not None
    ((record, key, tick),) = layout.decoded([Wire(7, 1_700_000_000_000, key, value)])
    made = TickRecord.of(record, key, tick)
    assert isinstance(made, TickRecord)
    return made


# ---- the reference: json.loads, and looking up one field after another


def looked_up(value: bytes, path: str) -> Any:
    """The content of a field; None where it is absent."""
    found = json.loads(value, parse_float=Decimal)
    for name in [path] if path == "n.o" else path.split("."):
        if found is None:
            return None
        if not isinstance(found, dict):
            raise RejectedError("type", "")
        found = found.get(name)
    return found


KINDS: dict[str, set[type]] = {"ts": {int, Decimal, str}, "seq": {int}, "heartbeat": {bool}, "said_symbol": {int, str}}


def reference(config: LayoutConfig, value: bytes) -> dict[str, Any]:
    """The parts of a tick; raises `RejectedError`."""
    tick: dict[str, Any] = {}
    for part, path in PATHS[config].items():
        content = looked_up(value, path)
        if content is None:
            continue
        if part in {"price", "other", "qty"}:
            if isinstance(content, bool) or not isinstance(content, int | Decimal | str):
                raise RejectedError("type", "")
            try:
                content = Decimal(content)
            except DecimalException:
                raise RejectedError("price", "") from None
        elif type(content) not in KINDS[part]:
            raise RejectedError("type", "")
        tick[part] = content
    return tick


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12)
CONTENTS = st.one_of(
    st.integers(-(10**15), 10**15),
    NUMBERS.map(str),
    st.sampled_from((1.5, "x", True, {}, [], "2014-05-05T00:00:00Z", "1.50", "A")),
)
NAMES = ("t", "trade", "i", "n.o", "T", "B", "s", "q", "at", "price", "size", "code", "beat", "b", "a")
OBJECTS = st.dictionaries(
    st.sampled_from(NAMES), CONTENTS | st.dictionaries(st.sampled_from(NAMES), CONTENTS, max_size=4), max_size=6
)


@FUZZ
@given(OBJECTS, st.sampled_from((NESTED, FLAT, MID)))
def test_a_value_gives_what_looking_up_each_field_gives(found: dict[str, Any], config: LayoutConfig) -> None:
    value = json.dumps(found).encode()
    layout = make_layout(config)
    decode = layout._values.decode  # type: ignore[attr-defined]  # before times and names are looked at
    try:
        wanted = reference(config, value)
    except RejectedError:
        with pytest.raises(RejectedError):
            decode(value)
        return
    tick = decode(value)
    defaults = {"seq": 0, "heartbeat": False}
    assert {part: getattr(tick, part) for part in PATHS[config] if part != "ts"} == {
        part: wanted.get(part, defaults.get(part)) for part in PATHS[config] if part != "ts"
    }
    assert tick.ts == wanted.get("ts")
    assert type(tick.ts) is type(wanted.get("ts"))


@FUZZ
@given(st.lists(st.binary(max_size=80) | OBJECTS.map(lambda found: json.dumps(found).encode()), min_size=1, max_size=6),
       st.binary(max_size=12) | st.none() | st.just(b"A|x"), st.sampled_from((NESTED, FLAT, MID)))  # fmt: skip
def test_any_bytes_are_a_tick_or_rejected_whatever_came_before(
    values: list[bytes], key: bytes | None, config: LayoutConfig
) -> None:
    used = make_layout(config)
    engine = Engine(EngineConfig(price=config.price), 0, make_layout(config))
    for offset, value in enumerate(values):
        engine.feed([Wire(offset, 1_700_000_000_000, key, value)])
        one, other = decoded(used, key, value), decoded(make_layout(config), key, value)
        if isinstance(one.value, RejectedError):
            assert isinstance(other.value, RejectedError)
            assert (one.key, one.value.reason, one.value.detail) == (None, other.value.reason, other.value.detail)
        else:
            assert one.key == other.key is not None
            assert msgspec.structs.asdict(one.value) == msgspec.structs.asdict(other.value)
    assert engine.counters.balanced()
    assert engine.counters.read == len(values)


# ---- the same ticks in several layouts


def _whole(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire(entry).value or b"", parse_float=Decimal, parse_int=Decimal)
    return found


LAYOUTS = {
    "keyed by another form": (LayoutConfig(key="{symbol}@{broker}"), ("key",)),
    "nested, other names": (LayoutConfig(fields="ts=m.T,bid=m.d.B,qty=m.Q,seq=N,heartbeat=H"), ("nest",)),
    "names in the value": (
        LayoutConfig(fields="ts=ts,bid=bid,qty=qty,seq=seq,heartbeat=heartbeat,broker=venue,symbol=i.code", key=""),
        ("names",),
    ),
    "seconds with a fraction": (LayoutConfig(number_unit="s"), ("seconds",)),
    "prices as text, time as text": (LayoutConfig(zone="UTC"), ("text",)),
}


def other(entry: Entry, changes: tuple[str, ...]) -> Wire:
    """The record of an entry in another layout."""
    record = wire(entry)
    if entry.marker or entry.bad:
        return record
    found = _whole(entry)
    key = record.key
    if "key" in changes:
        key = f"{entry.symbol}@{entry.broker}".encode()
    if "seconds" in changes:
        found["ts"] = Decimal(found["ts"]).scaleb(-3)
    if "text" in changes:
        seconds, ms = divmod(int(found["ts"]), 1_000)
        found["ts"] = f"{_text_of(seconds)}.{ms:03}"
        found.update({name: str(found[name]) for name in ("bid", "qty") if name in found})
    if "names" in changes:
        key = b"whatever"
        found |= {"venue": entry.broker, "i": {"code": entry.symbol}, "symbol": "not read"}
    if "nest" in changes:
        m = {"T": found["ts"], "d": {"B": found.get("bid"), "x": []}, "Q": found.get("qty"), "qty": "not read"}
        found = {"m": m, "N": found.get("seq", 0), "H": found.get("heartbeat", False), "seq": "not read", "bid": None}
    return Wire(record.offset, record.timestamp, key, _dumped(found))


def _text_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _dumped(found: dict[str, Any]) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(found)


@PROFILE
@given(log=logs(), config=configs(), name=st.sampled_from(sorted(LAYOUTS)))
def test_the_same_ticks_give_the_same_bars_in_every_layout(log: list[Entry], config: EngineConfig, name: str) -> None:
    layout, changes = LAYOUTS[name]
    log = [entry for entry in log if not entry.bad]  # what is bad in one layout may be good in another
    results = []
    for made, records in (
        (None, [wire(entry) for entry in log]),
        (make_layout(layout), [other(entry, changes) for entry in log]),
    ):
        engine = Engine(config, 0, made)
        engine.feed(records)
        engine.advance_arrival(last_arrival(log or [Entry(0, 0)]) + 10**6)
        side = [(one.offset, one.kind, one.record.offset) for one in engine.take_side()]
        results.append(([shown(bar) for bar in take_finals(engine)], side, engine.counters))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        (b'{"t":{"at":1},"trade":{"price":"x"},"i":{"code":"a"}}', "price", "trade.price: Invalid decimal string"),
        (b'{"t":{"at":1},"trade":{"size":"x"},"i":{"code":"a"}}', "qty", "trade.size: Invalid decimal string"),
        (b'{"t":{"at":1},"trade":{"price":[]},"i":{"code":"a"}}', "type", "trade.price: Expected"),
        (b'{"t":{"at":1},"trade":7,"i":{"code":"a"}}', "type", "trade: Expected"),
        (b'{"t":{"at":false},"i":{"code":"a"}}', "type", "t.at: Expected a number or text, got `bool`"),
        (b'{"t":{},"i":{"code":"a"}}', "missing", "t.at: the field is missing"),
        (b'{"trade":{"price":1},"i":{"code":"a"}}', "missing", "t.at: the field is missing"),
        (b'{"t":{"at":"soon"},"i":{"code":"a"}}', "ts", "t.at: 'soon' is not a date and time"),
        (b'{"t":{"at":1},"trade":{"price":1}}', "missing", "i.code: the field is missing"),
        (b'{"t":{"at":1700000000000},"i":{"code":"a"}}', "missing", "trade.price: the field is missing"),
        (b'{"t":{"at":1700000000000},"trade":{"price":0},"i":{"code":"a"}}', "price", "trade.price: '0' is not above 0"),
        (b'{"t":{"at":1700000000000},"trade":{"price":1,"size":-1},"i":{"code":"a"}}', "qty", "trade.size: '-1' is negative"),
        (b'{"t":{"at":17},"trade":{"price":1},"i":{"code":"a"}}', "ts", "t.at: 17 is before min_ts"),
        (b'{"t":{"at":1800000000000},"trade":{"price":1},"i":{"code":"a"}}', "future", "t.at: 1800000000000 is"),
        (b'{"t":{"at":1700000000000},"n.o":9223372036854775808,"i":{"code":"a"}}', "type", "n.o: Expected `int` <="),
        (b"{", "json", "value: "),
        (b"", "empty", "the record has no value"),
        (None, "empty", "the record has no value"),
    ],
)
def test_a_rejection_names_the_field_of_the_topic(value: bytes | None, reason: str, said: str) -> None:
    engine = Engine(EngineConfig(price="last"), 0, make_layout(NESTED))
    engine.feed([Wire(0, 1_700_000_000_000, b"k", value)])
    (side,) = engine.take_side()
    assert (side.reason, side.kind, side.record.value) == (reason, "rejected", value)
    assert said in side.detail


def test_the_key_counts_for_every_record_whatever_the_fields_say() -> None:
    layout = make_layout(FLAT)
    assert layout.decoded is not None
    value = b'{"T":1,"B":1,"s":"x"}'
    made = [key for _, key, _ in layout.decoded([Wire(n, 1, key, value) for n, key in enumerate((b"A", b"B", b"A"))])]
    assert made == [b"A|x", b"B|x", b"A|x"]


def test_a_part_that_is_not_named_is_not_read() -> None:
    engine = Engine(EngineConfig(), 0, make_layout(LayoutConfig(fields="ts=ts,bid=bid")))
    value = b'{"ts":1700000000000,"bid":1.5,"qty":"no number","seq":null,"heartbeat":true,"broker":"B","symbol":[]}'
    engine.feed([Wire(0, 1_700_000_000_000, b"A|x", value)])
    assert engine.counters.binned == 1


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (LayoutConfig(), b"A|x"),
        (LayoutConfig(key="{symbol}.{broker}"), b"A|BRK.B"),
        (LayoutConfig(fields="ts=a.b,bid=x,heartbeat=a.h,symbol=s.n,broker='A'", key="", number_unit="s"), b"A|x"),
        (LayoutConfig(fields="ts=t,bid=x,heartbeat=h,broker=b", key="{symbol}", time_unit="us"), b"A|x"),
    ],
)
def test_a_heartbeat_is_read_back(config: LayoutConfig, key: bytes) -> None:
    layout = make_layout(config)
    assert layout.no_heartbeats == ""
    written = Wire(0, 1_700_000_000_000, *layout.heartbeat(key, 1_700_000_000_001))
    assert "|".join(layout.name_of(written)).encode() == key
    tick = tick_of(layout, written)
    assert tick.heartbeat
    at = {"ms": 1_700_000_000_001, "us": 1_700_000_000_001_000}[config.time_unit]
    assert tick.ts == (1_700_000_001_000 if config.number_unit == "s" else at)


def test_a_heartbeat_that_would_not_be_read_back_is_refused() -> None:
    layout = make_layout(LayoutConfig(fields="ts=t,bid=x,heartbeat=h", key="{broker}.{symbol}"))
    with pytest.raises(ValueError, match=r"^A\.B\|x: a key of the form ticks_key=\{broker\}\.\{symbol\} cannot name it"):
        layout.heartbeat(b"A.B|x", 0)


def test_without_a_field_for_them_there_are_no_heartbeats() -> None:
    assert "heartbeat=FIELD" in make_layout(LayoutConfig(fields="ts=t,bid=x")).no_heartbeats


def test_the_key_tells_the_name_of_a_record_whose_value_cannot_be_read() -> None:
    assert make_layout(LayoutConfig(key="{symbol}.{broker}")).name_of(Wire(0, 0, b"x.A", b"{")) == ("A", "x")


def test_the_default_settings_make_the_default_layout() -> None:
    assert isinstance(make_layout(LayoutConfig()), OwnLayout)
    assert isinstance(make_layout(LayoutConfig(number_unit="ms")), OwnLayout)
