"""Names, numbers and columns of recorded ticks as others write them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.errors import InputError
from app.settings import Settings
from app.tickfiles.options import reading_of
from app.tickfiles.reading import BadRowError, Reading, Row
from app.tickfiles.rows import rows

OPTIONS = "broker_name symbol columns unit time_format zone delimiter decimal scale origin layout symbol_from_name"
NONE = dict.fromkeys(OPTIONS.split())


def reading(**options: Any) -> Reading:
    return reading_of(Settings.load(broker=""), NONE | {"header": False, "broker_name": "b", "symbol": "s"} | options, 0)


def read(path: Path, text: str, name: str = "t.csv", **options: Any) -> list[Row | BadRowError]:
    (path / name).write_text(text, encoding="utf-8")
    return list(rows(path / name, reading(**options)))


def values(path: Path, text: str, name: str = "t.csv", **options: Any) -> list[dict[str, Any]]:
    found = read(path, text, name, **options)
    assert all(isinstance(row, Row) for row in found), found
    return [json.loads(row.value, parse_float=str) for row in found if isinstance(row, Row)]


def problem(path: Path, text: str, name: str = "t.csv", **options: Any) -> str:
    (bad,) = read(path, text, name, **options)
    assert isinstance(bad, BadRowError)
    return str(bad)


def test_blanks_at_the_ends_of_a_name_make_no_symbol_of_their_own(tmp_path: Path) -> None:
    found = read(tmp_path, "S1,1,1.1\n S1,2,1.2\nS1 ,3,1.3\n", columns="symbol,ts,bid", symbol=None)
    assert {row.key for row in found if isinstance(row, Row)} == {b"b|S1"}


@pytest.mark.parametrize(("char", "code"), [("\u00a0", "U+00A0"), ("\u2003", "U+2003"), ("\u3000", "U+3000")])
def test_a_blank_in_a_name_that_is_not_the_usual_one_is_named(tmp_path: Path, char: str, code: str) -> None:
    assert f"holds a blank that is not the usual one ({code})" in problem(tmp_path, "1,1,2\n", symbol=f"A{char}B")


@pytest.mark.parametrize("value", ['["A"]', '{"a":1}', "true"])
def test_a_name_in_json_that_is_no_text_is_a_bad_row(tmp_path: Path, value: str) -> None:
    text = problem(tmp_path, f'{{"ts":1,"bid":1,"symbol":{value}}}\n', "t.jsonl")
    assert f"symbol={value}: is neither text nor a number" in text


def test_json_fields_have_any_name_and_may_be_nested(tmp_path: Path) -> None:
    text = '{"T":{"p":"1.50","s":3},"t":5,"i":{"code":"X"}}\n'
    (row,) = read(tmp_path, text, "t.jsonl", columns="ts=t,last=T.p,qty=T.s,symbol=i.code,broker='N'", symbol=None)
    assert row == (b"N|X", b'{"ts":5,"last":1.50,"qty":3,"seq":1}', 5)


def test_positions_make_no_sense_for_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JSON has names and no columns: write --columns ts=NAME"):
        read(tmp_path, '{"ts":1}\n', "t.jsonl", columns="ts,bid")


def test_json_without_a_time_says_what_is_there(tmp_path: Path) -> None:
    text = problem(tmp_path, '{"timestamp":1,"price":2}\n', "t.jsonl")
    assert "has no ts, the time; it has timestamp, price: --columns ts=NAME" in text


def test_an_array_is_answered_with_what_makes_lines_of_it(tmp_path: Path) -> None:
    assert "jq -c '.[]'" in problem(tmp_path, '[{"ts":1}]\n', "t.json")


def test_columns_of_a_csv_go_by_the_names_in_its_header(tmp_path: Path) -> None:
    assert values(tmp_path, "x,price,when\n?,1.5,7\n", columns="ts=when,last=price") == [{"ts": 7, "last": "1.5", "seq": 1}]
    with pytest.raises(InputError, match=r"t\.csv:1: has no column time for ts; it has x,price,when"):
        read(tmp_path, "x,price,when\n", columns="ts=time,last=price")


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    assert values(tmp_path, "1;1,5;1,6\n", decimal=",") == [{"ts": 1, "bid": "1.5", "ask": "1.6", "seq": 1}]
    assert values(tmp_path, "1\t1.5\t1.6\n", delimiter="tab")[0]["bid"] == "1.5"
    assert "is its --delimiter ';'?" in problem(tmp_path, "1;1.5;1.6\n")


def test_prices_are_scaled_exactly(tmp_path: Path) -> None:
    found = values(tmp_path, "1,1234567,10\n", columns="ts,last,qty", scale="0.0001")
    assert found == [{"ts": 1, "last": "123.4567", "qty": 10, "seq": 1}]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scale": "x"}, "--scale x"),
        ({"scale": "0"}, "--scale 0"),
        ({"delimiter": ";;"}, "--delimiter ;;"),
        ({"columns": "ts=a,bid=a.b=c"}, "--columns"),
        ({"columns": "date,bid"}, "date and time"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        reading(**options)


def test_lines_that_end_with_cr_alone_are_named(tmp_path: Path) -> None:
    assert "its lines end with CR alone" in problem(tmp_path, "1,1,2\r2,1,2\r")


def test_parquet_gives_shortest_digits_names_and_heartbeats(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, an extra, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, an extra, is not installed")
    columns = {
        "ts": pyarrow.array([1, 2]),
        "symbol": pyarrow.array([b"H", b"H"], pyarrow.binary()),
        "bid": pyarrow.array([1.1, 1e-7], pyarrow.float32()),
        "ask": pyarrow.array([Decimal("1.20"), None]),
        "seq": pyarrow.array([7.0, None]),
        "heartbeat": pyarrow.array([False, True]),
        "__index_level_0__": pyarrow.array([0, 1]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    first, second = rows(tmp_path / "t.parquet", Reading(None, "b", None))
    assert first == (b"b|H", b'{"ts":1,"bid":1.1,"ask":1.20,"seq":7}', 1)
    assert second == (b"b|H", b'{"ts":2,"heartbeat":true}', 2)
    parquet.write_table(pyarrow.table({"time": columns["ts"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="has no column ts for ts; it has time: --columns ts=NAME"):
        list(rows(tmp_path / "t.parquet", Reading(None, "b", None)))
