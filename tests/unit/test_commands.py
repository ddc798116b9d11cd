"""The commands' pure parts: the command line, times, partitions, the judgement of topics, what the demo claims."""

from __future__ import annotations

import dataclasses
import io
import random
import re
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from rich.console import Console
from rich.table import Table

from agents.topics import input_spec, judge, specs
from app import stderr
from app.cli import command_of, with_defaults
from app.commands import base
from app.commands.base import time_ms
from app.demo.host import Host, _delete_made, check_ours, demo_settings
from app.demo.market import SILENT, Kind
from app.demo.view import Progress, line, summary, view
from app.display import bar_table, console, fit, utc
from app.errors import InputError
from app.kafka.partitioner import partition_of
from app.kafka.topics import TopicState
from app.plain import plain
from app.settings import Settings
from app.tickfiles.replay import speed
from tables.bars import Bar
from tests.support.worker import ROOT

SETTINGS = Settings.load(app_id="t", ticks_topic="ticks", topics_prefix="", window_size="1m", broker="")


CONTROL = ["\x1b[31mred", "a\x1b]0;title\x07b", "\x9b2J", "bell\x07", "back\x08\x08", "12\u202e34", "cr\rover"]
MARKUP = ["X[/red]", "A[bold]B", "ES[H26]", ":smile:", "[link=x]y", "[[1]]"]


@pytest.mark.parametrize("text", MARKUP)
def test_text_that_looks_like_markup_is_printed_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = Table(text)
    made.add_row(text)
    price = Decimal("1.5")
    bar = Bar("b", text, 0, 60_000, price, price, price, price, None, None, 1, 0, 0, "watermark", 0, 0, 0, 0, 0)
    console().print(text, made, fit(bar_table([bar], text), console()))
    assert capsys.readouterr().out.count(text) == 5


@pytest.mark.parametrize("text", CONTROL)
def test_no_control_character_of_a_name_reaches_the_terminal(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Table(text, title=text)
    made.add_row(text)
    price = Decimal("1.5")
    bar = Bar("b", text, 0, 60_000, price, price, price, price, None, None, 1, 0, 0, "watermark", 0, 0, 0, 0, 0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    console().print(text, made, fit(bar_table([bar], text), console()))
    base.out(text)
    base.say(text)
    stderr.say(text)
    shown = capsys.readouterr()
    both = shown.out + shown.err
    both = re.sub(r"\x1b\[[0-9;]*m", lambda style: "" if style[0] != "\x1b[31m" else style[0], both)  # rich's own styles
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", both)
    assert both.count(plain(text)) == 9


def test_a_pipe_gets_a_name_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    base.out("a\x1bb")
    assert capsys.readouterr().out == "a\x1bb\n"


def test_every_console_of_ours_is_one_that_prints_text_as_it_is() -> None:
    made = [path for path in (ROOT / "app").rglob("*.py") if re.search(r"Console\(\w", path.read_text(encoding="utf-8"))]
    assert made == [ROOT / "app" / "display.py"]


@pytest.mark.parametrize(
    ("args", "command"),
    [
        (["worker"], "worker"),
        (["-A", "app", "worker", "--web-port", "1"], "worker"),
        (["--json", "bars", "worker"], "bars"),
        (["--loglevel", "info", "worker"], "worker"),
        (["--help"], None),
        ([], None),
    ],
)
def test_the_command_is_the_first_word_that_belongs_to_no_option(args: list[str], command: str | None) -> None:
    assert command_of(args) == command


def test_the_worker_logs_what_happens_unless_a_level_is_given() -> None:
    assert with_defaults(["worker"]) == ["worker", "-l", "info"]
    assert with_defaults(["worker", "-l", "warn"]) == ["worker", "-l", "warn"]
    assert with_defaults(["worker", "--loglevel=debug"]) == ["worker", "--loglevel=debug"]
    assert with_defaults(["bars"]) == ["bars"]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_table_of_bars_hides_no_digit_however_narrow_the_terminal(width: int) -> None:
    price = Decimal("11.38710")
    made = Bar("north", "N000", 0, 60_000, price, price, price, price, None, None, 12, 0, 0, "watermark", 0, 0, 0, 0, 0)
    text = io.StringIO()
    shown = Console(file=text, width=width, force_terminal=True, color_system=None)
    shown.print(fit(bar_table([made], "bars"), shown))
    assert text.getvalue().count("11.38710") == 4
    assert "1970-01-01 00:00:00" in text.getvalue()


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1399248000000", 1_399_248_000_000),
        ("2014-05-05", 1_399_248_000_000),
        ("2014-05-05T00:00:00Z", 1_399_248_000_000),
        ("2014-05-05T00:00:00-05:00", 1_399_266_000_000),
    ],
)
def test_a_time_is_utc_unless_it_has_an_offset(text: str, ms: int) -> None:
    assert time_ms(text, "--from") == ms


def test_what_is_no_time_is_refused_by_the_name_of_its_option() -> None:
    with pytest.raises(InputError, match="--from yesterday: is not a time"):
        time_ms("yesterday", "--from")


def test_times_are_shown_in_utc_with_milliseconds_where_there_are_any() -> None:
    assert utc(1_399_248_000_000) == "2014-05-05 00:00:00"
    assert utc(1_399_248_000_007) == "2014-05-05 00:00:00.007"


@pytest.mark.parametrize(("text", "factor"), [("max", None), ("1", 1.0), ("2000", 2000.0), ("0.5", 0.5)])
def test_speed_is_max_or_a_factor(text: str, factor: float | None) -> None:
    assert speed(text) == factor


@pytest.mark.parametrize("text", ["0", "-1", "fast", "inf", "nan"])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--speed {text}"):
        speed(text)


def test_a_key_goes_where_kafkas_default_partitioner_sends_it() -> None:
    rng, choose = random.Random(1), DefaultPartitioner()
    for _ in range(200):
        key, count = rng.randbytes(rng.randint(1, 30)), rng.randint(1, 64)
        assert partition_of(key, count) == choose(key, list(range(count)), list(range(count)))


# ---- topics


def states(partitions: int = 4) -> dict[str, TopicState]:
    """All topics as `app topics` makes them."""
    wanted = [dataclasses.replace(input_spec(SETTINGS), partitions=partitions), *specs(SETTINGS, partitions)]
    return {spec.name: TopicState(partitions, dict(spec.configs)) for spec in wanted}


def changed(name: str, **configs: str) -> dict[str, TopicState]:
    found = states()
    found[name] = TopicState(4, found[name].configs | {k.replace("_", "."): v for k, v in configs.items()})
    return found


def test_topics_as_we_make_them_leave_nothing_to_say() -> None:
    report = judge(SETTINGS, states(), [])
    assert (report.partitions, report.log_append_time, report.findings) == (4, True, [])


def test_side_topics_take_the_largest_tick_and_its_headers() -> None:
    largest = {spec.name: spec.configs.get("max.message.bytes") for spec in specs(SETTINGS, 1, 5_000_000)}
    assert largest["ticks_late"] == largest["ticks_rejected"] == str(5_000_000 + 65_536)


@pytest.mark.parametrize("name", ["bar_1m_final", "t-windows-changelog", "ticks_late", "ticks_rejected"])
def test_another_number_of_partitions_than_the_input_has_is_fatal(name: str) -> None:
    (finding,) = judge(SETTINGS, {**states(), name: TopicState(3, states()[name].configs)}, []).findings
    assert finding.fatal
    assert f"topic {name}: has 3 partitions and must have 4, as many as ticks" in str(finding)


@pytest.mark.parametrize("name", ["bar_1m_final", "t-windows-changelog"])
@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_bars_and_states_that_retention_would_take_away_are_fatal(name: str, policy: str) -> None:
    (finding,) = judge(SETTINGS, changed(name, cleanup_policy=policy), []).findings
    assert finding.fatal
    assert f"has cleanup.policy={policy} and must have compact" in str(finding)
    assert f"--entity-name {name} --add-config cleanup.policy=compact" in str(finding)


def test_an_input_with_the_producers_times_is_a_warning_only() -> None:
    report = judge(SETTINGS, changed("ticks", message_timestamp_type="CreateTime"), [])
    assert not report.log_append_time
    assert [finding.fatal for finding in report.findings] == [False]


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_input_is_fatal_and_its_remedy_is_named(policy: str) -> None:
    (finding,) = judge(SETTINGS, changed("ticks", cleanup_policy=policy), []).findings
    assert finding.fatal
    assert f"topic ticks: has cleanup.policy={policy}: compaction removes all but a symbol's last tick" in str(finding)
    assert "--entity-name ticks --add-config cleanup.policy=delete" in str(finding)


def test_a_small_side_topic_is_a_warning() -> None:
    (finding,) = judge(SETTINGS, changed("ticks_late", max_message_bytes="1000"), []).findings
    assert not finding.fatal


def test_what_is_missing_is_a_finding_and_not_fatal() -> None:
    report = judge(SETTINGS, {}, [])
    assert [finding.topic for finding in report.findings] == list(states())
    assert not any(finding.fatal for finding in report.findings)


# ---- the demo


def bar(ticks: int, reason: str = "watermark", pair: tuple[str, str] = ("north", "N000"), start: int = 0) -> Bar:
    one = Decimal(1)
    return Bar(*pair, start, start + 5, one, one, one, one, None, None, ticks, 0, 0, reason, 0, 0, 0, 0, 0)


def finished(**counters: int) -> Progress:
    """A demo that sent 10 ticks, a late one, a broken one and a heartbeat, and a worker that says what it did."""
    state = Progress(demo_settings(SETTINGS), seed=1, symbols=3, web="")
    state.sent = Counter({Kind.tick: 10, Kind.late: 1, Kind.broken: 1, Kind.heartbeat: 1})
    told = {"read": 13, "binned": 10, "late": 1, "rejected": 1, "heartbeats": 1, "lost": 0} | counters
    state.take_accounting({"total": told, "partitions": {}})
    state.take_bars([bar(4), bar(6, "idle", SILENT)])
    return state


def test_the_demo_is_content_when_everything_adds_up() -> None:
    state = finished()
    assert all(state.checks().values())
    assert state.silent_bar is not None


@pytest.mark.parametrize("wrong", [{"read": 12}, {"binned": 9}, {"rejected": 2}, {"heartbeats": 0}, {"late": 0}, {"lost": 1}])
def test_the_demo_notices_a_number_that_does_not_add_up(wrong: dict[str, Any]) -> None:
    assert not all(finished(**wrong).checks().values())


def test_the_demo_notices_a_bar_that_comes_twice_or_not_at_all() -> None:
    twice, missing = finished(), finished()
    twice.take_bars([bar(4)])
    assert not all(twice.checks().values())
    missing.bars.clear()
    assert not all(missing.checks().values())


def test_the_demo_knows_nothing_before_the_worker_has_answered() -> None:
    assert not any(Progress(demo_settings(SETTINGS), seed=1, symbols=3, web="").checks().values())


def test_the_demo_uses_nothing_of_the_users_settings_but_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARWHEEL_SCOPE", "symbol")
    monkeypatch.setenv("BARWHEEL_BROKER", "kafka://elsewhere:9092")
    found = demo_settings(Settings.load())
    assert (found.scope.value, found.broker, found.size_text) == ("broker", "", "5s")
    assert found.data_dir.name == "demo"


@pytest.mark.parametrize("text", ["--5", "²", "9" * 5_000])
def test_what_only_looks_like_a_number_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match="is not a time"):
        time_ms(text, "--from")


def test_the_demo_deletes_nothing_that_it_did_not_make(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    (home / "pocket").mkdir()
    settings = demo_settings(SETTINGS.model_copy(update={"data_dir": tmp_path}))
    with pytest.raises(InputError, match="was not made by app demo"), Host(settings):
        pass
    assert sorted(path.name for path in home.iterdir()) == ["pocket", "thesis.tex"]


@pytest.mark.parametrize("names", [[], ["made-by-app-demo", "notes.txt"], ["worker.log", "pocket/broker.log", "read-model/x"]])
def test_the_demo_uses_its_own_folder_again_and_leaves_what_others_put_there(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    check_ours(tmp_path)
    _delete_made(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name for name in names if name == "notes.txt"]


@pytest.mark.parametrize("names", [["faust/x"], ["worker.log", "pocket/x"], ["worker.log", "pocket/broker.log", "x"]])
def test_a_folder_that_only_looks_like_a_demos_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="was not made by app demo"):
        check_ours(tmp_path)


def plain_lines(text: str) -> list[str]:
    """The lines of a terminal without its colors."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def test_the_line_of_progress_and_the_bars_fit_into_80_columns() -> None:
    state = finished(read=99_999, late=999, rejected=999)
    state.sent[Kind.tick], state.open_windows = 99_000, 999
    state.bars |= {("north", "N001", number): bar(1, pair=("north", "N001")) for number in range(9_000)}
    target = Console(file=io.StringIO(), width=80, height=40, force_terminal=True)
    target.print(line(state))
    assert len(plain_lines(target.file.getvalue())) == 1  # type: ignore[attr-defined]  # of a StringIO
    target.print(summary(state, target))
    rows = [row for row in plain_lines(target.file.getvalue()) if "N001" in row]  # type: ignore[attr-defined]  # the same
    assert rows
    assert max(map(len, rows)) <= 80


@pytest.mark.parametrize(("width", "height", "shown"), [(120, 40, True), (80, 40, True), (60, 40, False), (120, 12, False)])
def test_the_demo_shows_bars_as_they_come_where_they_fit(width: int, height: int, shown: bool) -> None:  # noqa: FBT001  # a table
    state = finished()
    state.take_bars([bar(1, pair=("north", f"N{number:03}")) for number in range(30)])
    target = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    target.print(view(state, target))
    text = target.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO
    assert ("N029" in text, "N000" in text, "sent" in text) == (shown, False, True)
    assert len(text.splitlines()) < height
    assert max(map(len, plain_lines(text))) <= width
