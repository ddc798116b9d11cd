"""The commands as a user runs them: their output, their exit codes, and what they leave behind."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from app.commands.faust_cli import GROUPS, UNUSED
from app.kafka.partitioner import partition_of
from app.pocket import process
from app.version import __version__
from tests.integration.conftest import NewWorker
from tests.support.ports import free_port
from tests.support.ticks import Tick, create_topic, produce, read
from tests.support.waiting import until_sync
from tests.support.worker import ROOT, Worker

MINUTE = 60_000
DAY = 1_399_248_000_000  # 2014-05-05T00:00:00Z
FAILED, USAGE, BROKER, TOPICS, INTERRUPTED = 1, 2, 3, 4, 130  # exit codes
COMMANDS = (
    *("demo", "replay", "inspect", "export", "bars", "flush", "broker", "topics"),
    *("doctor", "worker", "send", "completion"),
)
QUOTES = "1000,1.38710,1.38726\n2000,1.38690,1.38700\n61000,1.3870,1.4\n"
NAMES = ("--yes", "--broker-name", "oanda", "--symbol", "EURUSD", "--origin", "2014-05-05T00:00:00Z")


def done(worker: Worker, *args: str, code: int = 0) -> str:
    """What a command printed that ended as it should."""
    found = worker.run(*args)
    assert found.returncode == code, found.stdout + found.stderr
    assert "Traceback" not in found.stderr
    return found.stdout


def failed(worker: Worker, *args: str, code: int) -> str:
    """The last line on stderr of a command that failed as it should."""
    found = worker.run(*args)
    assert found.returncode == code, found.stdout + found.stderr
    assert "Traceback" not in found.stderr
    return found.stderr.splitlines()[-1]


def quotes(worker: Worker, text: str = QUOTES, name: str = "quotes.csv") -> str:
    """A file in the folder the worker's commands run in."""
    (worker.directory / name).write_text(text, encoding="utf-8")
    return name


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Worker]:
    """A folder and settings for the pocket broker of its own, which is gone afterwards."""
    worker = Worker("127.0.0.1:9", tmp_path, broker="", pocket_port="0")
    yield worker
    process.stop(Path(worker.settings["data_dir"]) / "pocket")


# ---- help


@pytest.fixture(scope="module")
def help_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `app --help` prints."""
    return done(Worker("127.0.0.1:9", tmp_path_factory.mktemp("help"), broker=""), "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(alone: Worker, command: str) -> None:
    text = done(alone, command, "--help")
    assert "Example:" in text
    assert f"\n  app {command}" in text.replace("\n    app", "\n  app")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_option_says_what_it_does_and_names_one_default_at_most(alone: Worker, command: str) -> None:
    text = done(alone, command, "--help").partition("Options:\n")[2].partition("Example:")[0]
    options = re.split(r"^  (?=-)", text, flags=re.MULTILINE)[1:]
    assert options
    assert [one for one in options if not re.search(r"\S {2,}\S|\n {8,}\S", one)] == [], "without a word of what they do"
    assert [one for one in options if len(re.findall(r"[\[(]default", one)) > 1] == []


def test_the_help_of_the_worker_names_the_defaults_that_it_has(alone: Worker) -> None:
    text = done(alone, "worker", "--help")
    assert "[default: info]" in text
    assert "WARN" not in text
    assert "0.0.0.0" not in text


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in {"worker", "send"}])
def test_every_option_of_a_command_is_in_its_chapter_of_the_documentation(alone: Worker, command: str) -> None:
    chapters = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").split("\n## ")
    (chapter,) = (text for text in chapters if text.startswith(f"{command}\n"))
    options = done(alone, command, "--help").partition("Options:")[2]
    for option in re.findall(r"^  (--[a-z-]+)", options, re.MULTILINE):
        # --json and --help belong to all of them and stand above the chapters; --close is the default
        assert option in chapter or option in {"--help", "--json", "--close"}, option


def test_the_commands_are_fausts_own_too(alone: Worker) -> None:
    command = [sys.executable, "-m", "faust", "-A", "app", "topics", "--help"]
    found = subprocess.run(
        command, cwd=alone.directory, env=alone.environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 0, found.stderr
    assert "app topics --check" in found.stdout


def test_help_says_what_barwheel_is_and_puts_every_command_into_one_group(help_text: str) -> None:
    text = help_text
    assert "barwheel turns ticks into final OHLC bars" in text
    assert "Other:" not in text
    titles = re.findall(r"^([A-Z][A-Za-z' ]+|ksqlDB):$", text, re.MULTILINE)
    assert titles == [*GROUPS, "Options"]
    commands = text.partition("Run:")[2].partition("Options:")[0]
    assert re.findall(r"^  ([a-z]+) ", commands, re.MULTILINE) == [name for names in GROUPS.values() for name in names]
    documents = re.findall(r"docs/[a-z]+\.md", text)
    assert len(documents) >= 3
    assert all((ROOT / document).is_file() for document in documents)


def test_help_is_the_same_through_faust(alone: Worker, help_text: str) -> None:
    command = [sys.executable, "-m", "faust", "-A", "app", "--help"]
    found = subprocess.run(
        command, cwd=alone.directory, env=alone.environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.partition("\n")[2] == help_text.partition("\n")[2]


def test_version_names_barwheel_and_faust(alone: Worker) -> None:
    assert done(alone, "--version") == f"barwheel {__version__} (faust-streaming {version('faust-streaming')})\n"


@pytest.mark.parametrize("command", UNUSED)
def test_a_command_of_fausts_that_has_no_use_here_is_hidden_and_refuses_in_one_line(
    alone: Worker, help_text: str, command: str
) -> None:
    assert f"\n  {command} " not in help_text
    found = alone.run(command, "--whatever", "value")
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert re.fullmatch(rf"app: {command}: [^\n]+\n", found.stderr)
    assert not Path(alone.settings["data_dir"]).exists()


def test_fausts_agents_and_tables_are_listed_with_help(alone: Worker) -> None:
    (agent,) = json.loads(done(alone, "--json", "agents"))
    assert (agent["name"], agent["topic"]) == ("@ticks", alone.ticks_topic)
    assert agent["help"] == "Reads ticks and publishes final bars."
    tables = json.loads(done(alone, "--json", "tables"))
    assert all(table["name"] and "Missing description" not in table["help"] for table in tables)


def test_completion_completes_commands_and_options(alone: Worker) -> None:
    text = done(alone, "completion", "bash")
    assert "complete -o nosort -F _app_completion app" in text
    for words, expected in (("app bar", "plain,bars"), ("app bars --fo", "plain,--follow")):
        environment = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_APP_COMPLETE": "bash_complete"}
        found = subprocess.run(
            [sys.executable, "-c", "import sys; sys.argv[0] = 'app'; from app.cli import main; main()"],
            cwd=alone.directory,
            env={**alone.environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (found.returncode, found.stdout) == (0, f"{expected}\n"), found.stderr


# ---- send


def test_send_puts_a_record_where_kafkas_partitioner_or_the_user_wants_it(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="4")
    done(worker, "topics")
    value = '{"ts": 1399248000123, "bid": 1.38691}'
    first = json.loads(done(worker, "send", worker.ticks_topic, value, "--key", "A|x"))
    assert first["partition"] == partition_of(b"A|x", 4)
    second = json.loads(done(worker, "send", "@ticks", value, "--key", "A|x", "--partition", "3"))
    records = read(worker.bootstrap, worker.ticks_topic, 2)
    assert {(r.key, r.value, r.partition) for r in records} == {
        (b"A|x", value.encode(), first["partition"]),
        (b"A|x", value.encode(), 3),
    }
    assert second["topic"] == worker.ticks_topic


def test_send_refuses_what_would_wait_for_ever(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2")
    done(worker, "topics")
    assert "topic nowhere does not exist" in failed(worker, "send", "nowhere", "1", code=USAGE)
    assert "@nobody: no such agent" in failed(worker, "send", "@nobody", "1", code=USAGE)
    assert "has partitions 0 to 1" in failed(worker, "send", "@ticks", "1", "--partition", "9", code=USAGE)


# ---- topics


def test_topics_creates_what_is_missing_and_then_has_nothing_to_do(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="3")
    names = [worker.ticks_topic, worker.finals_topic, worker.late_topic, worker.rejected_topic, worker.changelog_topic]
    assert "missing" in done(worker, "topics", "--check", code=FAILED)
    made = json.loads(done(worker, "topics", "--json"))
    assert sorted(made["created"]) == sorted(names)
    assert {topic["partitions"] for topic in made["topics"].values()} == {3}
    policies = {name: topic["configs"]["cleanup.policy"] for name, topic in made["topics"].items()}
    assert [policies[name] for name in names] == ["delete", "compact", "delete", "delete", "compact"]
    stamps = {name: topic["configs"]["message.timestamp.type"] for name, topic in made["topics"].items()}
    assert [name for name in names if stamps[name] == "CreateTime"] == names[1:2]
    again = json.loads(done(worker, "topics", "--check", "--json"))
    assert (again["created"], again["findings"]) == ([], [])


def test_topics_that_several_create_at_once_are_created_once(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2")
    racing = [worker.popen("topics", "--json") for _ in range(3)]
    answers = [other.communicate(timeout=120)[0] for other in racing]
    assert [other.returncode for other in racing] == [0, 0, 0], answers
    assert len(json.loads(done(worker, "topics", "--json"))["topics"]) == 5


def test_a_topic_that_does_not_fit_is_named_with_what_to_do(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2")
    create_topic(worker.bootstrap, worker.finals_topic, 2, cleanup_policy="delete")
    line = failed(worker, "topics", code=TOPICS)
    assert f"topic {worker.finals_topic}: has cleanup.policy=delete and must have compact" in line
    assert "kafka-configs.sh --alter" in line


# ---- replay and bars


def test_a_replay_with_other_settings_than_the_workers_is_told_before_anything_is_sent(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="2").start()
    worker.settings["time_unit"] = "us"
    found = worker.run("replay", quotes(worker), "--broker-name", "fx", "--symbol", "A")
    assert (found.returncode, "time_unit=ms stored, us set" in found.stderr) == (USAGE, True), found.stderr
    assert read(worker.bootstrap, worker.ticks_topic) == []


def test_a_replayed_file_becomes_bars_in_every_form(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1").start()
    sent = json.loads(done(worker, "replay", quotes(worker), *NAMES, "--json"))
    assert (sent["rows"], sent["symbols"], sent["heartbeats"], sent["skipped"]) == (3, 1, 1, 0)
    worker.wait_closed(4)

    records = read(worker.bootstrap, worker.ticks_topic)
    assert records[0].value == b'{"ts":%d,"bid":1.38710,"ask":1.38726,"seq":1}' % (DAY + 1000)
    assert json.loads(records[-1].value or b"") == {"ts": DAY + 2 * MINUTE + 5_000, "heartbeat": True}

    lines = done(worker, "bars", "--json").splitlines()
    assert [line.encode() for line in lines] == [seen.value for seen in read(worker.bootstrap, worker.finals_topic)]
    first, second = csv.DictReader(io.StringIO(done(worker, "bars", "oanda", "EURUSD", "--csv")))
    assert (first["open"], first["low"], first["ticks"], first["bucket_start"]) == ("1.38710", "1.38690", "2", str(DAY))
    assert second["open"] == "1.3870"
    shown = done(worker, "bars")
    assert "2014-05-05 00:01:00" in shown
    assert "1.38710" in shown


def test_bars_are_chosen_by_symbol_time_and_number(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1").start()
    ticks = [Tick(DAY + minute * MINUTE, name=f"A|{symbol}") for minute in range(4) for symbol in ("x", "y")]
    produce(worker.bootstrap, worker.ticks_topic, [*ticks, Tick(DAY + 10 * MINUTE, name="A|z")])
    worker.wait(lambda: len(read(worker.bootstrap, worker.finals_topic)) >= 8, "the bars are there")

    def starts(*args: str) -> list[tuple[str, int]]:
        found = [json.loads(line) for line in done(worker, "bars", *args, "--json").splitlines()]
        return [(bar["symbol"], (bar["bucket_start"] - DAY) // MINUTE) for bar in found]

    assert starts("A", "x") == [("x", 0), ("x", 1), ("x", 2), ("x", 3)]
    assert starts("A", "y", "--last", "1") == [("y", 3)]
    assert starts("--from", "2014-05-05T00:01:00Z", "--to", "2014-05-05T00:02:00Z") == [("x", 1), ("y", 1)]
    assert starts("B") == []


def test_the_bars_of_another_app_are_not_shown(new_worker: NewWorker, tmp_path: Path) -> None:
    worker = new_worker(topic_partitions="1").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(DAY), Tick(DAY + 2 * MINUTE)])
    read(worker.bootstrap, worker.finals_topic, 1)
    other = worker.beside(tmp_path / "other", topics_prefix=worker.settings["topics_prefix"])
    assert len(done(worker, "bars", "--json").splitlines()) >= 1
    found = other.run("bars", "--json")
    assert (found.returncode, found.stdout) == (0, "")


def test_bars_follow_until_they_are_interrupted(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1").start()
    following = worker.popen("bars", "--follow", "--json")
    guard = threading.Timer(90, following.kill)  # a bar that never comes fails the test instead of hanging it
    guard.start()
    try:
        assert following.stdout is not None
        produce(worker.bootstrap, worker.ticks_topic, [Tick(DAY), Tick(DAY + 2 * MINUTE)])
        assert json.loads(following.stdout.readline())["bucket_start"] == DAY
        produce(worker.bootstrap, worker.ticks_topic, [Tick(DAY + 5 * MINUTE)])
        assert json.loads(following.stdout.readline())["bucket_start"] == DAY + 2 * MINUTE
        following.send_signal(signal.SIGINT)
        assert "Traceback" not in following.stdout.read()
        assert following.wait() == INTERRUPTED
    finally:
        guard.cancel()
        following.kill()
        following.wait()
        if following.stdout is not None:
            following.stdout.close()


def test_bars_whose_reader_has_gone_end_without_a_word_and_a_full_disk_is_named(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1").start()
    ticks = [Tick(DAY + minute * MINUTE) for minute in range(1_000)]  # more than a pipe and a buffer hold
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    worker.wait(lambda: len(read(worker.bootstrap, worker.finals_topic)) >= 999, "the bars are there")
    nobody, written = os.pipe()
    os.close(nobody)
    full = os.open("/dev/full", os.O_WRONLY)
    wanted = {written: (0, ""), full: (FAILED, "app: cannot write the result: No space left on device\n")}
    try:
        for args in (("bars", "--json"), ("bars", "--json", "--last", "1")):
            for place, expected in wanted.items():
                found = subprocess.run(
                    [sys.executable, "-m", "app", *args],
                    cwd=worker.directory,
                    env=worker.environment(),
                    stdout=place,
                    stderr=subprocess.PIPE,
                    text=True,
                    check=False,
                    timeout=60,
                )
                assert (found.returncode, found.stderr) == expected, args
    finally:
        os.close(written)
        os.close(full)


def test_bars_of_a_topic_that_is_not_there_say_so(pocket_worker: NewWorker) -> None:
    worker = pocket_worker()
    found = worker.run("bars")
    assert (found.returncode, found.stdout) == (0, "")
    assert worker.finals_topic in found.stderr


def test_a_bad_row_is_named_and_nothing_of_the_file_is_sent(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1")
    done(worker, "topics")
    line = failed(worker, "replay", quotes(worker, QUOTES + "70000,abc,1.4\n"), *NAMES, code=USAGE)
    assert "quotes.csv:4: bid='abc': is not a number; nothing was sent" in line
    assert read(worker.bootstrap, worker.ticks_topic) == []


def test_skipped_rows_are_kept_beside_the_file(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1")
    file = quotes(worker, "oops\n" + QUOTES + "70000,abc,1.4\n")
    sent = json.loads(done(worker, "replay", file, *NAMES, "--skip-bad", "--json"))
    assert (sent["rows"], sent["skipped"]) == (3, 2)
    assert (worker.directory / f"{file}.rejected").read_text(encoding="utf-8") == "oops\n70000,abc,1.4\n"


def test_several_files_are_merged_by_time_and_keys_go_where_kafka_sends_them(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="4")
    for name, start in (("a", 0), ("b", 500)):
        text = "".join(f'{{"ts":{DAY + start + i * 1000},"bid":1.5,"broker":"X","symbol":"{name}"}}\n' for i in range(20))
        quotes(worker, text, f"{name}.jsonl")
    done(worker, "replay", "a.jsonl", "b.jsonl", "--no-close", "--yes")
    records = read(worker.bootstrap, worker.ticks_topic)
    assert len(records) == 40
    assert len({record.partition for record in records if record.key == b"X|a"}) == 1
    for partition in range(4):
        times = [json.loads(record.value or b"")["ts"] for record in records if record.partition == partition]
        assert times == sorted(times)


def test_the_members_of_a_zip_are_merged_by_time(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1")
    with zipfile.ZipFile(worker.directory / "days.zip", "w") as archive:
        archive.writestr("second.csv", f"{2 * MINUTE},1,2\n{4 * MINUTE},1,2\n")
        archive.writestr("first.csv", f"{MINUTE},1,2\n{3 * MINUTE},1,2\n")
    done(worker, "replay", "days.zip", *NAMES, "--no-close")
    times = [json.loads(record.value or b"")["ts"] - DAY for record in read(worker.bootstrap, worker.ticks_topic)]
    assert times == [MINUTE, 2 * MINUTE, 3 * MINUTE, 4 * MINUTE]


def test_ticks_whose_time_a_worker_will_refuse_are_counted_and_the_likely_cause_is_named(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1")
    found = worker.run("replay", quotes(worker), "--broker-name", "oanda", "--symbol", "EURUSD", "--json", "--yes")
    assert (found.returncode, json.loads(found.stdout)["out_of_time"]) == (0, 3)
    assert "3 of 3 ticks would be rejected (ts), the first is quotes.csv:1: ts: 1000 is before min_ts" in found.stderr
    assert "--origin" in found.stderr


def test_nothing_is_sent_to_another_broker_or_late_or_to_be_rejected_without_a_yes(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1")
    rows = [f"{DAY + minute * MINUTE},1.5,1.6\n" for minute in range(5)]
    first, second = quotes(worker, "".join(rows), "first.csv"), quotes(worker, "".join(rows[:3]), "second.csv")
    names = ("--broker-name", "fx")
    assert "--yes" in failed(worker, "replay", first, *names, "--symbol", "A", code=USAGE)
    assert read(worker.bootstrap, worker.ticks_topic) == []
    done(worker, "replay", first, *names, "--symbol", "A", "--yes")
    found = worker.run("replay", second, *names, "--symbol", "B")  # of the same day, and the topic is past it
    assert found.returncode == USAGE
    assert "second.csv: all 3 ticks are late" in found.stderr
    assert "fx has reached 2014-05-05 00:05:05" in found.stderr
    assert len(read(worker.bootstrap, worker.ticks_topic)) == 6
    bad = quotes(worker, f"{DAY + 9 * MINUTE},-1,1\n{DAY + 9 * MINUTE},1,1\n", "bad.csv")
    sent = json.loads(done(worker, "replay", bad, *names, "--symbol", "C", "--skip-rejected", "--yes", "--json"))
    assert (sent["rows"], sent["skipped"], sent["rejected"]) == (1, 1, {"price": 1})
    assert (worker.directory / "bad.csv.rejected").read_text(encoding="utf-8") == f"{DAY + 9 * MINUTE},-1,1\n"


def test_a_pipe_is_read(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1")
    os.mkfifo(worker.directory / "pipe")
    writing = threading.Thread(target=(worker.directory / "pipe").write_text, args=(QUOTES,))
    writing.start()
    sent = json.loads(done(worker, "replay", "pipe", *NAMES, "--json"))
    writing.join()
    assert sent["rows"] == 3


def test_an_origin_that_the_time_unit_cannot_hold_is_refused(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1", time_unit="s")
    names = [*NAMES[:-1], "2014-05-05T00:00:00.500Z"]
    assert "is not a whole second" in failed(worker, "replay", quotes(worker), *names, code=USAGE)


def test_a_window_that_is_still_open_is_left_to_idle_close(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", max_future="1d")
    far = quotes(worker, f'{{"ts":{4_000_000_000_000},"bid":1.5}}\n', "far.jsonl")
    sent = json.loads(done(worker, "replay", far, "--broker-name", "A", "--symbol", "x", "--json", "--yes"))
    assert (sent["heartbeats"], sent["left_to_idle"]) == (0, 1)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("replay", "missing.csv", *NAMES), "missing.csv"),
        (("replay", "missing.csv", *NAMES, "--speed", "fast"), "--speed fast"),
        (("replay", "missing.csv", *NAMES, "--columns", "bid"), "ts is missing"),
        (("bars", "--last", "0"), "--last 0"),
        (("bars", "--json", "--csv"), "choose one"),
        (("bars", "--from", "yesterday"), "--from yesterday"),
        (("broker", "--stop", "--status"), "--stop and --status"),
        (("demo", "--symbols", "2"), "--symbols 2"),
        (("demo", "--seconds", "1"), "--seconds 1"),
    ],
)
def test_an_argument_that_makes_no_sense_is_one_line(alone: Worker, args: tuple[str, ...], says: str) -> None:
    found = alone.run(*args)
    assert (found.returncode, found.stdout) == (USAGE, "")
    (line,) = found.stderr.splitlines()
    assert says in line


@pytest.mark.slow
def test_a_command_whose_broker_is_away_gives_up_and_names_it(tmp_path: Path) -> None:
    worker = Worker(f"127.0.0.1:{free_port()}", tmp_path)
    line = failed(worker, "bars", code=BROKER)
    assert worker.bootstrap in line
    assert "BARWHEEL_BROKER" in line


# ---- doctor


def test_doctor_finds_nothing_wrong_where_nothing_is(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", grace="7s")
    done(worker, "topics")
    found = json.loads(done(worker, "doctor", "--json"))
    assert found["ok"]
    assert found["settings"]["grace"] == {"value": "7s", "source": "environment"}
    assert found["settings"]["window_size"] == {"value": "1m", "source": "default"}
    assert found["topics"][worker.ticks_topic]["configs"]["message.timestamp.type"] == "LogAppendTime"
    assert "nothing is wrong" in done(worker, "doctor")


def test_doctor_names_a_misspelt_variable_and_an_input_with_the_producers_times(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2", graec="7s")
    create_topic(worker.bootstrap, worker.ticks_topic, 2, message_timestamp_type="CreateTime")
    done(worker, "topics")
    found = json.loads(done(worker, "doctor", "--json", code=FAILED))
    wrong = [item for item in found["findings"] if item["level"] == "wrong"]
    assert ["BARWHEEL_GRAEC" in wrong[0]["text"], "CreateTime" in wrong[1]["text"]] == [True, True]
    assert all(item["advice"] for item in wrong)


def test_doctor_names_ticks_that_ksqldb_would_drop_without_a_word(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", ksqldb_url="http://127.0.0.1:1")
    done(worker, "topics")
    ticks = [Tick(1_399_248_000_000, bid) for bid in ("1.1230000000", "1.123456789", "12345678901.5")]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    found = json.loads(done(worker, "doctor", "--json", code=FAILED))
    wrong = [(item["text"], item["advice"]) for item in found["findings"] if item["level"] == "wrong"]
    assert [text for text, _ in wrong] == [
        "a tick of A|x has bid=1.123456789, 9 decimals: ksqlDB drops it silently",
        "a tick of A|x has bid=12345678901.5, 11 digits before the point: ksqlDB drops it silently",
    ]
    assert "BARWHEEL_KSQLDB_SCALE" in wrong[0][1]
    worker.settings |= {"ksqldb_precision": "24", "ksqldb_scale": "9"}
    assert "DECIMAL(24,9)" in done(worker, "migrate", "print")
    assert json.loads(done(worker, "doctor", "--json"))["ok"]


def test_doctor_says_that_the_broker_is_away(tmp_path: Path) -> None:
    worker = Worker(f"127.0.0.1:{free_port()}", tmp_path)
    assert f"broker {worker.bootstrap} does not answer: connection refused" in done(worker, "doctor", code=FAILED)


def test_doctor_starts_no_broker(alone: Worker) -> None:
    assert "the pocket broker does not run" in done(alone, "doctor")
    assert process.running(Path(alone.settings["data_dir"]) / "pocket") is None


# ---- broker and demo


def test_the_pocket_broker_runs_in_the_foreground_until_it_is_stopped(alone: Worker) -> None:
    assert "no pocket broker runs" in done(alone, "broker", "--status", code=FAILED)
    foreground = alone.popen("broker")
    try:
        home = Path(alone.settings["data_dir"]) / "pocket"
        until_sync(lambda: process.running(home), what="the broker answers")
        status = json.loads(done(alone, "broker", "--status", "--json"))
        assert (status["running"], status["pid"]) == (True, foreground.pid)
        assert "stopped" in done(alone, "broker", "--stop")
        foreground.communicate(timeout=30)
        assert foreground.returncode == 0
        done(alone, "broker", "--stop", code=FAILED)
    finally:
        foreground.kill()
        foreground.wait()


@pytest.mark.slow
def test_the_demo_adds_up_and_leaves_nothing_running(alone: Worker) -> None:
    running = alone.popen("demo", "--once", "--json", "--seconds", "10", "--symbols", "30")
    text, _ = running.communicate(timeout=180)
    assert running.returncode == 0, text
    found = json.loads(text[text.index("{\n") :])
    assert found["synthetic"]
    assert found["ok"]
    assert set(found["checks"].values()) == {True}
    assert found["accounting"]["read"] == found["sent"]["total"]
    assert found["sent"]["total"] > 1_000  # 30 symbols for ten seconds, and what the market did before
    assert (found["idle_bar"]["broker"], found["idle_bar"]["close_reason"]) == ("isle", "idle")
    home = Path(alone.settings["data_dir"]) / "demo"
    assert process.running(home / "pocket") is None
    assert not (home / "demo.pid").exists()


def in_a_terminal(worker: Worker, *args: str) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns; its exit code, and all that it showed, in that order."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    env = {name: value for name, value in worker.environment().items() if name not in ("COLUMNS", "NO_COLOR")}
    env |= {"TERM": "xterm", "PYTHONPATH": str(ROOT)}
    # a process of its own: whether it has a terminal is looked at when the application is imported
    command = [sys.executable, "-m", "app", *args]
    running = subprocess.Popen(command, cwd=worker.directory, env=env, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is closed at the other end
        while part := os.read(ours, 1 << 16):
            shown += part
    os.close(ours)
    return running.wait(60), shown.decode()


@pytest.mark.slow
def test_the_demo_shows_the_address_then_bars_as_they_come_then_the_accounting(alone: Worker) -> None:
    code, shown = in_a_terminal(alone, "demo", "--once", "--seconds", "10", "--symbols", "30")
    assert code == 0, shown[-2_000:]
    parts = ["the page: http://127.0.0.1:", "waiting for the first bar", "final bars as they are published", "the newest of"]
    missing = [part for part in parts if part not in shown]
    assert not missing, shown[:2_000]
    places = [shown.index(part) for part in [*parts, "read = binned + late + rejected + heartbeats"]]
    assert places == sorted(places)
    assert shown.count("final bars as they are published") > 1, "it is drawn again as bars come"


@pytest.mark.slow
def test_the_demo_says_how_its_worker_died_and_stops_the_rest(alone: Worker) -> None:
    running = alone.popen("demo", "--once", "--seconds", "60", "--symbols", "30")
    home = Path(alone.settings["data_dir"]) / "demo"
    until_sync((home / "worker.pid").exists, deadline=60, what="the demo has started its worker")
    os.kill(int((home / "worker.pid").read_text(encoding="ascii")), signal.SIGKILL)
    text, _ = running.communicate(timeout=120)
    assert running.returncode == FAILED, text
    assert "the worker ended with code -9" in text
    assert "Traceback" not in text
    assert process.running(home / "pocket") is None
