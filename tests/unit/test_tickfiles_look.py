"""Looking through rows before they are sent: what a worker would reject, and what would be late."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.errors import InputError
from app.kafka.partitioner import partition_of
from app.settings import Settings
from app.tickfiles.concerns import concerns
from app.tickfiles.reading import Reading, Row
from app.tickfiles.refusals import judge
from app.tickfiles.replay import Replay
from app.tickfiles.sources import Spool
from app.tickfiles.survey import Scope, Scopes, Survey

DAY = 1_399_248_000_000
MINUTE = 60_000


def settings(**values: Any) -> Settings:
    return Settings.load(
        **{"app_id": "t", "ticks_topic": "ticks", "topics_prefix": "", "window_size": "1m", "broker": "", **values}
    )


def look(
    path: Path, *texts: str, reached: Mapping[Scope, int] | None = None, reading: Reading | None = None, **options: Any
) -> tuple[Survey, list[str]]:
    """Survey and lines for files with these rows."""
    chosen = settings(**options.pop("settings", {}))
    files = []
    for number, text in enumerate(texts):
        files.append(path / f"{number}.csv")
        files[-1].write_text(text, encoding="utf-8")
    with Spool() as spool:
        sources = [source for file in files for source in spool.sources(file)]
        replay = Replay(chosen, sources, reading or Reading(None, "b", "s"), **options)
        survey = asyncio.run(replay.look(Scopes(chosen, 4), reached or {}, lambda _: None))
    return survey, concerns(chosen, survey, reached or {})


def lines(*minutes: float) -> str:
    return "".join(f"{DAY + round(minute * MINUTE)},1.5,1.6\n" for minute in minutes)


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b'{"ts":%d,"bid":1.5}' % DAY, b"b|s", None),
        (b'{"ts":%d,"bid":0}' % DAY, b"b|s", "price"),
        (b'{"ts":%d,"bid":-1}' % DAY, b"b|s", "price"),
        (b'{"ts":%d,"bid":%s}' % (DAY, b"1" * 50), b"b|s", "price"),
        (b'{"ts":%d,"bid":1,"qty":-1}' % DAY, b"b|s", "qty"),
        (b'{"ts":%d,"last":1}' % DAY, b"b|s", "missing"),
        (b'{"ts":%d,"heartbeat":true}' % DAY, b"b|s", None),
        (b'{"ts":%d,"bid":1}' % DAY, b"b|" + b"s" * 2_000, "key"),
        (b'{"ts":%d,"bid":1}' % (DAY // 1000), b"b|s", "ts"),
        (b'{"ts":%d,"bid":1}' % (DAY * 1000), b"b|s", "future"),
    ],
)
def test_what_a_worker_would_reject_is_told_by_its_reason(value: bytes, key: bytes, reason: str | None) -> None:
    ts = int(value.split(b",")[0].split(b":")[1])
    why = judge(settings())(Row(key, value, ts))
    assert (why[0] if why else None) == reason


def test_rows_that_would_be_rejected_are_counted_by_reason_and_the_first_is_named(tmp_path: Path) -> None:
    survey, said = look(tmp_path, f"{DAY},1,1\n{DAY},-1,1\n{DAY},0,1\n1,1,1\n")
    assert (survey.rows, dict(survey.refused)) == (4, {"price": 2, "ts": 1})
    assert said[0].startswith("2 of 4 ticks would be rejected (price), the first is 0.csv:2: bid: '-1'")
    assert "check --origin, and --unit" in said[1]


def test_rows_that_would_be_rejected_are_left_out_on_request(tmp_path: Path) -> None:
    survey, _ = look(tmp_path, f"{DAY},1,1\n{DAY},-1,1\n", skip_rejected=True)
    assert (survey.rows, survey.parts[0].skipped) == (1, 1)


def test_a_file_in_order_is_no_concern(tmp_path: Path) -> None:
    assert look(tmp_path, lines(0, 1, 2), lines(0, 0.5, 7))[1] == []


def test_ticks_behind_the_topic_are_late_and_the_scope_is_named(tmp_path: Path) -> None:
    scope = partition_of(b"b|s", 4), "b"
    survey, said = look(tmp_path, lines(0, 1, 5), lines(0, 1), reached={scope: DAY + 3 * MINUTE})
    assert [(part.rows, part.late) for part in survey.parts] == [(3, 2), (2, 2)]
    assert said[0].startswith("0.csv: 2 of 3 ticks are late")
    assert f"1.csv: all 2 ticks are late, the last at 2014-05-05 00:01:00: ticks[{scope[0]}] b has reached" in said[1]


def test_stream_times_of_other_scopes_are_of_no_account(tmp_path: Path) -> None:
    number = partition_of(b"b|s", 4)
    others = {(number, "c"): DAY + 9 * MINUTE, ((number + 1) % 4, "b"): DAY + 9 * MINUTE}
    assert look(tmp_path, lines(0, 1, 2), reached=others)[1] == []
    reached = {(number, "b|s"): DAY + 9 * MINUTE}
    assert look(tmp_path, lines(0), reached=reached, settings={"scope": "symbol"})[0].late == 1


def test_rows_out_of_order_by_more_than_the_grace_are_named_with_the_remedy(tmp_path: Path) -> None:
    survey, said = look(tmp_path, lines(0, 3, 0.5, 4))
    assert survey.disordered == 1
    assert "in row 3 (scope=broker): --reorder 3m puts them in order" in said[0]
    assert look(tmp_path, lines(0, 3, 0.5, 4), reorder=150_000)[1] == []


def test_rows_out_of_order_within_an_open_window_are_no_concern(tmp_path: Path) -> None:
    assert look(tmp_path, lines(0, 0.5, 0.2, 1.01, 0.9))[1] == []


def test_a_bad_row_ends_it_with_nothing_sent_unless_bad_rows_are_skipped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.csv:2: .*nothing was sent"):
        look(tmp_path, f"{DAY},1,1\nx,1,1\n")
    survey, _ = look(tmp_path, f"{DAY},1,1\nx,1,1\n", skip_bad=True)
    assert (survey.rows, survey.parts[0].skipped) == (1, 1)


@pytest.mark.parametrize(("stream_time", "late"), [(DAY + MINUTE + 5_000, 1), (DAY + MINUTE + 4_999, 0)])
def test_a_window_is_closed_when_the_stream_time_is_its_end_and_the_grace(tmp_path: Path, stream_time: int, late: int) -> None:
    assert look(tmp_path, lines(0), reached={(partition_of(b"b|s", 4), "b"): stream_time})[0].late == late
    rows = f"{DAY},1,1\n{stream_time},1,1\n{DAY + 1},1,1\n"
    assert look(tmp_path, rows)[0].disordered == late
