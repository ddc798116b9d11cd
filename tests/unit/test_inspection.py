"""`app inspect` finds out what a topic looks like, and prints settings that fit."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable

import pytest

from app.kafka.partitioner import partition_of
from app.operations.inspection import keys, times
from app.operations.inspection.inspect import Inspection, inspect_sample, written
from app.operations.inspection.sample import Sample, Seen
from app.operations.inspection.times import Tick
from app.operations.inspection.values import Format
from app.settings import Settings
from tables.layouts.fields import FieldPath, parse_fields

T0 = 1_399_248_000_000
SYMBOLS = ("AAPL", "BRK.B", "MSFT", "SPY", "X[/red]")


def seen(offset: int, value: object, key: bytes | None = b"ebs|EURUSD", **more: object) -> Seen:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    fields: dict[str, object] = {"partition": 0, "timestamp": T0 + offset * 100 + 40, "timestamp_type": 0, **more}
    return Seen(offset=offset, key=key, value=content, **fields)  # type: ignore[arg-type]  # named as the tuple's fields are


def inspected(records: Iterable[Seen], partitions: int = 1, **settings: str) -> Inspection:
    known = sorted(records)
    return inspect_sample(Sample("market", partitions, len(known), known), Settings.load(**settings))


def trades(partition: Callable[[bytes, int], int]) -> list[Seen]:
    found = []
    for n in range(500):
        symbol = SYMBOLS[n % 5]
        value = {
            "TimestampUtc": f"2014-05-05T00:{n // 60:02}:{n % 60:02}.250Z",
            "trade": {"price": 100.25 + n, "size": n + 1},
            "instrument": {"code": symbol, "kind": "equity"},
            "tradeId": n,
        }
        found.append(seen(n, value, symbol.encode(), partition=partition(symbol.encode(), 6), timestamp=T0 + n * 1_000 + 300))
    return found


def test_the_default_layout_needs_no_settings_of_layout() -> None:
    found = inspected(seen(n, {"ts": T0 + n * 100, "bid": 1.1, "ask": 1.2, "seq": n}) for n in range(200))
    assert found.key.text == "{broker}|{symbol}"
    assert found.problems == []
    assert found.settings == {
        "ticks_topic": "market",
        "price": "bid",
        "time_unit": "ms",
        "grace": "0ms",
        "idle_margin": "500ms",
    }


def test_other_names_nested_records_and_keys_give_settings_that_can_be_pasted() -> None:
    found = inspected(trades(lambda key, count: zlib.crc32(key) % count), 6)
    assert (found.unit, found.zoned) == (None, True)
    assert found.settings["ticks_key"] == "{symbol}"
    assert found.settings["price"] == "last"
    fields = found.settings["ticks_fields"]
    assert fields == "ts=TimestampUtc,last=trade.price,qty=trade.size,seq=tradeId,broker='XXXX'"
    assert parse_fields(fields).path("last") == FieldPath(("trade", "price"))
    assert found.problems == ["nothing says the broker: put its name in place of XXXX"]
    assert found.delay_ms == 50
    assert found.places.partitioner == "CRC32, librdkafka's default"
    assert (found.places.names, found.places.several) == (5, 0)
    assert found.verdict is not None
    assert (found.verdict.binned, found.verdict.rejected) == (500, 0), "the settings are tried on the records"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (partition_of, "murmur2, Kafka's default"),
        (lambda key, count: (len(key) * 7 + key[0]) % count, "none that is known"),
    ],
)
def test_the_partitioner_is_named_if_it_is_known(place: Callable[[bytes, int], int], said: str) -> None:
    assert inspected(trades(place), 6).places.partitioner.startswith(said)


def test_fnv_1a_is_the_function_of_sarama() -> None:
    names = [b"", b"a", b"foobar"]  # with the published codes of the 32-bit function, as signed numbers
    codes = [0x811C9DC5 - (1 << 32), 0xE40C292C - (1 << 32), 0xBF9CF968 - (1 << 32)]
    assert [keys.PARTITIONERS["FNV-1a, Sarama's default"](name, 1_000) for name in names] == [-code % 1_000 for code in codes]


def test_a_symbol_in_several_partitions_is_a_problem_that_names_it() -> None:
    turn = iter(range(500))
    found = inspected(trades(lambda key, count: (len(key) + next(turn)) % count), 6)
    assert found.places.several == 5
    assert found.places.in_two is not None
    assert "5 of 5 symbols lie in several partitions" in found.problems[-1]
    assert found.settings["repartition"] == "on"
    assert "repartition" not in inspected(trades(lambda key, count: len(key) % count), 6).settings


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)])
def test_the_unit_of_numbers_is_found_from_their_size(unit: str, factor: int) -> None:
    found = inspected(seen(n, {"time": T0 // 1_000 * factor + n, "price": "1.5", "venue": "x", "sym": "y"}) for n in range(50))
    assert found.settings["time_unit"] == unit
    assert found.settings["price"] == "last", "decimals as text are prices too"


@pytest.mark.parametrize(
    ("times_", "expected"),
    [
        ([f"{T0 // 1_000}.123456" for _ in range(9)], {"time_unit": "us", "ticks_time_unit": "s"}),
        ([T0 / 1_000 + 0.5 for _ in range(9)], {"time_unit": "ms", "ticks_time_unit": "s"}),
        (["2014-05-05T00:00:00Z" for _ in range(9)], {"time_unit": "ms"}),
        (["2014-05-05T00:00:00.123456789Z" for _ in range(9)], {"time_unit": "ns"}),
    ],
)
def test_no_digit_of_a_time_is_lost(times_: list[object], expected: dict[str, str]) -> None:
    found = inspected(seen(n, {"ts": time, "bid": 1}) for n, time in enumerate(times_))
    assert {name: value for name, value in found.settings.items() if "time_unit" in name} == expected
    assert found.verdict is not None
    assert (found.verdict.binned, found.verdict.rejected) == (9, 0)


def test_times_without_an_offset_ask_for_the_zone() -> None:
    found = inspected(seen(n, {"time": "2014-05-05 00:00:00", "price": 2}) for n in range(50))
    assert found.settings["ticks_zone"] == "UTC"
    assert "ticks_zone must name their zone" in found.problems[0]


def test_the_only_field_with_dates_is_the_event_time_whatever_its_name() -> None:
    value = {"hdr": {"sendingInstant": "2014-05-05T00:00:00.5Z"}, "price": 2, "note": "x"}
    found = inspected(seen(n, value) for n in range(50))
    assert found.settings["ticks_fields"] == "ts=hdr.sendingInstant,last=price"
    assert found.problems == []
    two = inspected(seen(n, value | {"other": "2014-05-05T00:00:00Z"}) for n in range(50))
    assert "no field looks like the event time" in two.problems[0], "one of two is not guessed"


def test_prices_of_zero_and_below_ask_for_any() -> None:
    found = inspected(seen(n, {"ts": T0 + n, "last": n - 5, "seq": n}) for n in range(50))
    assert found.settings["prices"] == "any"


def test_what_is_not_json_is_said(tmp_path: object) -> None:
    framed = inspected(seen(n, b"\0\0\0\0\x07" + bytes([n])) for n in range(9))
    assert framed.values.format is Format.payload_id
    assert framed.values.schema_ids == {"7": 9}
    assert "schema_registry_url" in framed.problems[0]
    headers = inspected(seen(n, b"\x02\x04", headers=(("__value_schema_id", b"\0\0\0\0\x08"),)) for n in range(9))
    assert headers.values.schema_ids == {"8": 9}
    assert inspected(seen(n, b"1;2;3") for n in range(9)).problems == [
        "the values are no JSON objects, and nothing says what they are"
    ]
    assert inspected([]).problems == ["there are no values"]


def test_a_mixed_topic_shows_all_formats_and_goes_by_the_most_frequent() -> None:
    records = [seen(n, {"ts": T0 + n, "bid": 1}) for n in range(20)] + [seen(20, b"x"), seen(21, b""), seen(22, [1])]
    formats = inspected(records).values.formats
    assert formats == {Format.json: 20, Format.other: 1, Format.empty: 1, Format.other_json: 1}


def test_no_price_and_no_time_are_problems() -> None:
    found = inspected(seen(n, {"a1": 1, "b1": "x"}) for n in range(9))
    assert len([problem for problem in found.problems if "no field looks like" in problem]) == 2


def ticks(times_and_arrivals: Iterable[tuple[int, int]]) -> list[Tick]:
    return [Tick(0, n, arrival, ts, "b", "s") for n, (ts, arrival) in enumerate(times_and_arrivals)]


def test_the_grace_covers_what_is_behind_stream_time() -> None:
    late = [(n * 100, n * 100) for n in range(2_000)]
    late[1_000] = (1_000 * 100 - 1_700, 1_000 * 100)
    late[1_001] = (1_001 * 100 - 1_200, 1_001 * 100)
    late[1_002] = (1_002 * 100 - 1_100, 1_002 * 100)
    found = times.disorder(ticks(late), lambda tick: tick.broker)
    assert (found.worst, found.grace, found.beyond) == (1_600, 2_000, 0), "the last tick before it was 100 ms earlier"


def test_the_grace_covers_what_comes_late_after_a_silence() -> None:
    quiet = [(n * 1_000, n * 1_000 + (700 if n % 100 == 50 else 0)) for n in range(2_000)]
    found = times.disorder(ticks(quiet), lambda tick: tick.broker)
    assert found.share == 0.0, "each is later than the one before"
    assert found.grace == 1_000, "but some arrive 700 ms later than the others do, when idle close may have closed their window"


def test_a_step_back_of_the_arrival_time_is_the_idle_margin() -> None:
    found = inspected(
        seen(n, {"ts": T0 + n * 100, "bid": 1}, timestamp=T0 + n * 100 - (900 if n == 20 else 0)) for n in range(50)
    )
    assert found.settings["idle_margin"] == "1s"


def test_names_with_signs_are_written_in_quotes_that_the_setting_reads() -> None:
    paths = [("a.b", "c"), ('say "x"',), ("price, USD",), ("plain",)]
    for path in paths:
        assert parse_fields(f"ts={written(path)}").path("ts") == FieldPath(path)
