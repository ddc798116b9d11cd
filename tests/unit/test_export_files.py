"""The files of an export: exact, partitioned by day and broker, each bar once, also if an export is interrupted anywhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.errors import InputError
from app.operations import export_files
from app.operations.export import _checked, topic_of
from app.operations.export_files import Record, Row, delete_unfinished, read_record, write_chunk
from app.settings import Settings
from tables.bars import Bar

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from pyarrow import dataset

T0 = 1_399_248_000_000  # 2014-05-05
DAY = 86_400_000


def bar(number: int, broker: str = "fxcm", **values: Any) -> Bar:
    start = T0 + number * 60_000
    price = Decimal("1.38690") + number
    told: dict[str, Any] = {
        "broker": broker,
        "symbol": "EURUSD",
        "bucket_start": start,
        "bucket_end": start + 60_000,
        **dict.fromkeys(("open", "high", "low", "close"), price),
        "volume": None,
        "vwap": None,
        "ticks": 1,
        "first_ts": start,
        "last_ts": start,
        "close_reason": "watermark",
        **dict.fromkeys(("closed_at", "watermark", "first_offset", "last_offset", "closed_at_offset"), start),
        **values,
    }
    return Bar(**told)


def read(directory: Path) -> list[dict[str, Any]]:
    found = dataset.dataset(directory, format="parquet", partitioning="hive", exclude_invalid_files=True)
    rows: list[dict[str, Any]] = found.to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["partition"], row["offset"]))


def record(positions: dict[int, int]) -> Record:
    return Record(app_id="app", topic="bar_1m_final", topic_id="", scale=5, positions=positions)


def test_bars_lie_by_day_and_broker_with_exact_decimals_and_utc_times(tmp_path: Path) -> None:
    rows = [Row(0, 0, bar(0)), Row(0, 1, bar(1_440)), Row(1, 0, bar(2, "a/b c", volume=Decimal("1e3"), partial=True))]
    assert write_chunk(tmp_path, rows, {0: 0, 1: 0}, 5) == 3
    places = sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
    assert places == ["day=2014-05-05/broker=a%2Fb%20c", "day=2014-05-05/broker=fxcm", "day=2014-05-06/broker=fxcm"]
    first, _, other = read(tmp_path)
    assert (str(first["open"]), first["volume"], first["partial"]) == ("1.38690", None, False)
    assert first["bucket_start"].isoformat() == "2014-05-05T00:00:00+00:00"
    assert (str(first["day"]), first["broker"]) == ("2014-05-05", "fxcm")
    assert (other["broker"], other["volume"], other["partial"]) == ("a/b c", Decimal(1_000), True)


@pytest.mark.parametrize("value", ["0.123456", "1e33"])
def test_a_price_that_does_not_fit_ends_the_export_with_its_name(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=r"fxcm.EURUSD at 1399248000000: close .* does not fit 38 digits with 5 decimals"):
        write_chunk(tmp_path, [Row(0, 0, bar(0, close=Decimal(value)))], {0: 0}, 5)


def test_zeros_at_the_end_of_a_price_need_no_column(tmp_path: Path) -> None:
    write_chunk(tmp_path, [Row(0, 0, bar(0, open=Decimal("1.10000000"), volume=Decimal("7.000000000")))], {0: 0}, 5)
    assert (read(tmp_path)[0]["open"], read(tmp_path)[0]["volume"]) == (Decimal("1.1"), Decimal(7))


def test_a_vwap_is_rounded_as_it_is_a_quotient(tmp_path: Path) -> None:
    write_chunk(tmp_path, [Row(0, 0, bar(0, volume=Decimal(3), vwap=Decimal(2) / 3))], {0: 0}, 5)
    assert read(tmp_path)[0]["vwap"] == Decimal("0.66667")


def test_what_lies_beyond_the_record_is_deleted_and_all_else_stays(tmp_path: Path) -> None:
    write_chunk(tmp_path, [Row(0, n, bar(n)) for n in range(3)], {0: 0}, 5)
    record({0: 3}).write(tmp_path)
    write_chunk(tmp_path, [Row(0, n, bar(n)) for n in range(3, 9)], {0: 3}, 5)
    half = tmp_path / "day=2014-05-05/broker=fxcm/bars-0-00000000000000000009.parquet.part"
    half.write_bytes(b"PAR1")
    (half.parent / "notes.txt").write_text("mine")
    known = read_record(tmp_path)
    assert known is not None
    assert delete_unfinished(tmp_path, known.positions) == 2
    assert [row["offset"] for row in read(tmp_path)] == [0, 1, 2]
    assert (half.parent / "notes.txt").exists()


@pytest.mark.parametrize("at", range(1, 13))
def test_an_export_that_ends_at_any_write_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    class PowerError(Exception):
        pass

    left = at

    def sync(_path: Path) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise PowerError

    def export() -> None:
        known = read_record(tmp_path) or record({0: 0, 1: 0})
        delete_unfinished(tmp_path, known.positions)
        for _ in range(3):
            first = dict(known.positions)
            rows = [Row(p, n, bar(n * 700)) for p in (0, 1) for n in range(first[p], min(6, first[p] + 2))]
            write_chunk(tmp_path, rows, first, 5)
            known.positions = {p: min(6, first[p] + 2) for p in (0, 1)}
            known.write(tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(export_files, "_sync", sync)
        with pytest.raises(PowerError):
            export()
    export()
    assert [(row["partition"], row["offset"]) for row in read(tmp_path)] == [(p, n) for p in (0, 1) for n in range(6)]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (Record(app_id="other", topic="bar_1m_final", topic_id="", scale=5, positions={}), "app_id other, not barwheel"),
        (Record(app_id="barwheel", topic="old", topic_id="", scale=5, positions={}), "topic old, not bar_1m_final"),
        (Record(app_id="barwheel", topic="bar_1m_final", topic_id="", scale=4, positions={}), "--scale 4, not 5"),
        (Record(app_id="barwheel", topic="bar_1m_final", topic_id="A", scale=5, positions={}), "was created again since"),
    ],
)
def test_a_directory_with_another_export_is_refused(tmp_path: Path, known: Record, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _checked(known, tmp_path, "barwheel", "bar_1m_final", "B", 5)
    assert _checked(None, tmp_path / "new", "barwheel", "bar_1m_final", "B", 5).topic_id == "B"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not empty and holds no export"):
        _checked(None, tmp_path, "barwheel", "bar_1m_final", "B", 5)


def test_each_kind_of_bars_is_exported_from_its_own_topic() -> None:
    kept = Settings.load(topics_prefix="", frames="1h", late_policy="correct")
    assert [topic_of(kept, frame, revisions=revisions) for frame in ("", "1m", "1h") for revisions in (False, True)] == [
        *("bar_1m_final", "bar_1m_corrections") * 2,
        *("bar_1h_final", "bar_1h_corrections"),
    ]
    with pytest.raises(InputError, match=r"--frame 5m: is exported from its own topic, and frames=1h;"):
        topic_of(kept, "5m", revisions=False)
    with pytest.raises(InputError, match="--revisions: late ticks revise no bars with late_policy=drop"):
        topic_of(Settings.load(topics_prefix=""), "", revisions=True)


def test_a_record_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_barwheel.json").write_text("{}")
    with pytest.raises(InputError, match=r"_barwheel.json: .*app_id.*; give another directory"):
        read_record(tmp_path)
    assert msgspec.json.decode(msgspec.json.encode(record({3: 4})), type=Record).positions == {3: 4}
