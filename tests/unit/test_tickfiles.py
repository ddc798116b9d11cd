"""Reading recorded ticks: every digit as in the file, and a bad row named by file, line, field and value."""

from __future__ import annotations

import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from app.errors import InputError
from app.tickfiles.rows import BadRowError, Reading, Row, from_ms, parse_columns, rejected_file, rows, stream, to_ms
from app.tickfiles.sources import Spool

PLAIN = Reading(None, "oanda", "EURUSD")


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def good(path: Path, reading: Reading = PLAIN) -> list[Row]:
    found = list(rows(path, reading))
    assert not [row for row in found if isinstance(row, BadRowError)]
    return [row for row in found if isinstance(row, Row)]


def only_bad(path: Path, reading: Reading = PLAIN) -> BadRowError:
    (bad,) = (row for row in rows(path, reading) if isinstance(row, BadRowError))
    return bad


def test_a_csv_row_goes_to_the_wire_with_the_digits_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "23668,1.38710,1.38726\n25634,1.3870900000000000001,2\n")
    first, second = good(path)
    assert first == (b"oanda|EURUSD", b'{"ts":23668,"bid":1.38710,"ask":1.38726,"seq":1}', 23668)
    assert second.value == b'{"ts":25634,"bid":1.3870900000000000001,"ask":2,"seq":2}'


def test_times_count_from_the_origin_in_the_unit_of_the_setting(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "1500000,1,2\n")
    (row,) = good(path, Reading(None, "a", "b", time_unit="us", origin_ms=1_000_000))
    assert json.loads(row.value)["ts"] == 1_001_500_000
    assert row.ts_ms == 1_001_500


def test_an_origin_keeps_its_milliseconds(tmp_path: Path) -> None:
    (row,) = good(written(tmp_path / "t.csv", "1,1,2\n"), Reading(None, "a", "b", origin_ms=1_399_248_000_500))
    assert json.loads(row.value)["ts"] == row.ts_ms == 1_399_248_000_501


@pytest.mark.parametrize(("name", "text"), [("t.csv", "1,1.5,2\n"), ("t.jsonl", '{"ts":1,"bid":1.5}\n')])
def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path, name: str, text: str) -> None:
    (row,) = good(written(tmp_path / name, "\ufeff" + text))
    assert (json.loads(row.value)["ts"], json.loads(row.value)["bid"]) == (1, 1.5)


@pytest.mark.parametrize("header", ["ts,bid,ask", "Time,Bid", "\ufefftime;bid;ask"])
def test_a_first_line_that_looks_like_a_header_is_answered_with_the_option_that_skips_it(tmp_path: Path, header: str) -> None:
    bad = only_bad(written(tmp_path / "t.csv", f"{header}\n1,1,2\n"))
    assert str(bad).startswith("t.csv:1: ")
    assert "--header skips it" in str(bad)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_row_that_is_not_utf8_is_bad_and_its_bytes_are_kept(tmp_path: Path, name: str) -> None:
    path, line = tmp_path / name, b'{"ts":1,"bid":2,"symbol":"\xff"}' if name == "t.jsonl" else b"1,2,3\xff"
    path.write_bytes(line + b"\n")
    bad = only_bad(path)
    assert f"{name}:1: is not UTF-8" in str(bad)
    with rejected_file(path) as kept:
        kept.append(bad.text)
    assert path.with_name(name + ".rejected").read_bytes() == line + b"\n"


def test_a_line_that_the_csv_reader_refuses_is_a_bad_row(tmp_path: Path) -> None:
    assert "t.csv:1: is not a CSV row" in str(only_bad(written(tmp_path / "t.csv", '1,"' + "2" * 200_000 + '",3\n')))


def test_the_members_of_a_zip_are_streams_of_their_own_and_no_folders_or_companions(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "T.ZIP", "w") as archive:
        archive.writestr("day/", "")
        archive.writestr("day/b.csv", "2,1,2\n4,1,2\n")
        archive.writestr("__MACOSX/day/._b.csv", "\0\1")
        archive.writestr("day/a.CSV", "1,1,2\n3,1,2\n")
    with Spool() as spool:
        sources = spool.sources(tmp_path / "T.ZIP")
        found = [[row.ts_ms for row in stream(source, PLAIN) if isinstance(row, Row)] for source in sources]
    assert found == [[2, 4], [1, 3]]


def test_a_zip_that_is_encrypted_or_damaged_is_one_error_that_names_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "1,1,2\n" * 1_000)
    whole = (tmp_path / "t.zip").read_bytes()
    damaged = whole[:37] + b"\xff" * 8 + whole[45:]
    directory = whole.index(b"PK\1\2")
    encrypted = whole[:6] + b"\1" + whole[7 : directory + 8] + b"\1" + whole[directory + 9 :]
    for name, content in (("damaged.zip", damaged), ("encrypted.zip", encrypted)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            list(rows(tmp_path / name, PLAIN))


def test_columns_name_fields_and_skip_others(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'symbol,x,ts,last,qty,broker\n"EUR,USD",?,5,1.0,3,fxcm\n')
    reading = Reading(parse_columns("symbol,-,ts,last,qty,broker"), None, None, header=True)
    assert good(path, reading) == [(b"fxcm|EUR,USD", b'{"ts":5,"last":1.0,"qty":3,"seq":1}', 5)]


def test_an_empty_cell_is_left_out(tmp_path: Path) -> None:
    (row,) = good(written(tmp_path / "t.csv", "5,1.0,\n"))
    assert row.value == b'{"ts":5,"bid":1.0,"seq":1}'


def test_every_member_of_a_zip_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "1,1.10,1.2\n")
        archive.writestr("b.jsonl", '{"ts":2,"bid":1.30}\n')
    assert [row.value for row in good(tmp_path / "t.zip")] == [
        b'{"ts":1,"bid":1.10,"ask":1.2,"seq":1}',
        b'{"ts":2,"bid":1.30,"seq":1}',
    ]


def test_json_lines_keep_their_digits_and_may_name_broker_and_symbol(tmp_path: Path) -> None:
    text = '{"ts":7,"bid":1.500,"ask":"1.60","qty":null,"broker":"b","symbol":"s","seq":9,"other":[1]}\n\n{"ts":8,"bid":2}\n'
    first, second = good(written(tmp_path / "t.jsonl", text))
    assert first == (b"b|s", b'{"ts":7,"bid":1.500,"ask":1.60,"seq":9}', 7)
    assert second.key == b"oanda|EURUSD"


def test_a_time_as_text_is_passed_on_as_text(tmp_path: Path) -> None:
    (row,) = good(written(tmp_path / "t.csv", "2014-05-05T00:00:00.5Z,1,2\n"))
    assert (json.loads(row.value)["ts"], row.ts_ms) == ("2014-05-05T00:00:00.5Z", 1_399_248_000_500)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x,1,2", "ts='x': is neither a whole number nor an RFC 3339 time"),
        ("1.5,1,2", "ts='1.5'"),
        ("2014-05-05T00:00:00,1,2", "needs an offset"),
        ("5,abc,2", "bid='abc': is not a number"),
        ("5,1,NaN", "ask='NaN': is not a number"),
        ("5,1,Infinity", "ask='Infinity'"),
        ("5,01,2", "bid='01'"),
        ("5,1", "has 2 columns, --columns names 3 (ts,bid,ask)"),
        ("5,1,2,3", "has 4 columns"),
    ],
)
def test_a_bad_row_names_file_line_field_and_value(tmp_path: Path, line: str, says: str) -> None:
    path = written(tmp_path / "t.csv", f"1,1,2\n{line}\n3,1,2\n")
    bad = only_bad(path)
    assert str(bad).startswith("t.csv:2: ")
    assert says in str(bad)
    assert bad.text == line


@pytest.mark.parametrize("line", ["{", "[1]", "3", '{"ts":1,"bid":}'])
def test_a_line_that_is_no_json_object_is_a_bad_row(tmp_path: Path, line: str) -> None:
    assert "t.jsonl:1: is not a JSON object" in str(only_bad(written(tmp_path / "t.jsonl", line + "\n")))


@pytest.mark.parametrize(
    ("broker", "symbol", "says"), [(None, "s", "--broker-name"), ("b", None, "--symbol"), ("b|c", "s", "broker='b|c'")]
)
def test_names_must_be_there_and_fit_into_a_key(tmp_path: Path, broker: str | None, symbol: str | None, says: str) -> None:
    assert says in str(only_bad(written(tmp_path / "t.csv", "1,1,2\n"), Reading(None, broker, symbol)))


@pytest.mark.parametrize(("text", "says"), [("bid,ask", "ts is missing"), ("ts,price", "'price'"), ("ts,bid,bid", "twice")])
def test_columns_that_make_no_sense_are_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_columns(text)


@pytest.mark.parametrize("name", ["missing.csv", "missing.zip", "folder"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=name):
        list(rows(tmp_path / name, PLAIN))


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.zip"):
        list(rows(written(tmp_path / "t.zip", "no zip"), PLAIN))


def test_rejected_rows_are_kept_beside_the_file_and_an_old_list_goes(tmp_path: Path) -> None:
    path, kept = tmp_path / "t.csv", tmp_path / "t.csv.rejected"
    with rejected_file(path) as lines:
        lines.append("bad,row")
    assert kept.read_text(encoding="utf-8") == "bad,row\n"
    with rejected_file(path):
        pass
    assert not kept.exists()


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)  # as if it were not installed
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pip install 'barwheel\[parquet\]'"):
        list(rows(tmp_path / "t.parquet", PLAIN))


def test_parquet_columns_go_by_name_and_keep_the_digits(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, an extra, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, an extra, is not installed")
    columns = {
        "ts": pyarrow.array([1_399_248_000_123_456], pyarrow.timestamp("us", tz="UTC")),
        "bid": pyarrow.array([Decimal("1.3870")]),
        "ask": pyarrow.array([1.1]),
        "qty": pyarrow.array([None], pyarrow.int64()),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    (row,) = good(tmp_path / "t.parquet")
    assert row.value == b'{"ts":1399248000123,"bid":1.3870,"ask":1.1,"seq":1}'


@pytest.mark.parametrize(("unit", "ts"), [("s", 1_399_248_001), ("ms", 1_399_248_000_001), ("us", 1_399_248_000_001_000)])
def test_a_time_in_another_unit_is_never_before_the_millisecond_it_stands_for(unit: str, ts: int) -> None:
    assert from_ms(1_399_248_000_001, unit) == ts
    assert to_ms(ts, unit) >= 1_399_248_000_001


@pytest.mark.parametrize(
    "text",
    ["20140505T000000Z", "2014-W19-1T00:00:00Z", "2014-05-05 00:00+00:00", "2014-05-05T00:00:00,5Z", "2014-05-05\t00:00:00Z"],
)
def test_a_time_that_the_worker_would_reject_is_a_bad_row(tmp_path: Path, text: str) -> None:
    bad = only_bad(written(tmp_path / "t.jsonl", json.dumps({"ts": text, "bid": 1}) + "\n"))
    assert "nor an RFC 3339 time" in str(bad)


def test_a_heartbeat_of_a_recording_is_sent_as_a_heartbeat(tmp_path: Path) -> None:
    lines = '{"ts":5,"heartbeat":true}\n{"ts":"2014-05-05T00:00:00Z","heartbeat":true}\n{"ts":6,"bid":1,"heartbeat":false}\n'
    values = [row.value for row in good(written(tmp_path / "t.jsonl", lines))]
    assert values == [
        b'{"ts":5,"heartbeat":true}',
        b'{"ts":"2014-05-05T00:00:00Z","heartbeat":true}',
        b'{"ts":6,"bid":1,"seq":3}',
    ]


def test_a_row_that_the_csv_or_json_reader_gives_up_on_is_a_bad_row(tmp_path: Path) -> None:
    assert "is not a CSV row" in str(only_bad(written(tmp_path / "t.csv", '"5",1,' + "9" * 200_000 + "\n")))
    deep = '{"ts":5,"bid":1,"x":' + "[" * 50_000 + "]" * 50_000 + "}\n"
    assert "is not a JSON object" in str(only_bad(written(tmp_path / "t.jsonl", deep)))


def damaged(path: Path, *changes: tuple[bytes, int, bytes]) -> Path:
    """A zip with bytes changed, each at a distance from a signature."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", "5,1,2\n" * 5_000)
    raw = bytearray(path.read_bytes())
    for signature, distance, new in changes:
        at = raw.index(signature) + distance
        raw[at : at + len(new)] = new
    path.write_bytes(raw)
    return path


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (((LOCAL, 6, b"\x01"), (CENTRAL, 8, b"\x01")), "encrypted"),
        (((LOCAL, 8, b"\x61"), (CENTRAL, 10, b"\x61")), "compression method"),
        (((LOCAL, 40, b"\xff" * 20),), "decompressing"),
    ],
)
def test_a_zip_that_cannot_be_read_is_one_line(
    tmp_path: Path, changes: tuple[tuple[bytes, int, bytes], ...], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        list(rows(damaged(tmp_path / "t.zip", *changes), PLAIN))
