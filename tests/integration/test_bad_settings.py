"""Bad settings and topics end a worker with one line and the documented exit code; a broker that is away does not."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.integration.conftest import NewWorker
from tests.support.ports import free_port
from tests.support.ticks import Tick, create_topic, produce, read
from tests.support.waiting import until_sync
from tests.support.worker import Worker

SETTINGS, BROKER, TOPICS = 2, 3, 4  # exit codes


def the_line(done: CompletedProcess[str], code: int) -> str:
    """The only line that a command printed before it ended with this code."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def complaint(done: CompletedProcess[str], code: int) -> str:
    """The only line on stderr of a worker that ended with this code, after Faust's banner on stdout."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("grace", "banana", "duration"),
        ("grace", "5", "duration"),
        ("window_size", "0s", "longer than 0"),
        ("window_size", "-1m", "duration"),
        ("scope", "planet", "'broker'"),
        ("broker", "somewhere", "kafka://host:9092"),
        ("broker", "http://somewhere:9092", "kafka://host:9092"),
        ("broker", "kafka://somewhere:99999", "kafka://host:9092"),
        ("broker", "kafka://somewhere:0", "kafka://host:9092"),
        ("price", "median", "'bid'"),
        ("topic_partitions", "0", "1"),
        ("web_port", "http", "integer"),
        ("late_policy", "revise", "'drop'"),
        ("app_id", "a b", "letters"),
    ],
)
def test_a_bad_setting_ends_the_worker_with_one_line_that_names_it(tmp_path: Path, name: str, value: str, says: str) -> None:
    line = the_line(Worker("127.0.0.1:9", tmp_path, **{name: value}).run("worker"), SETTINGS)
    assert f"{name}={value}" in line
    assert says in line


@pytest.mark.parametrize(
    "command",
    [
        ["worker"],
        ["doctor"],
        ["topics"],
        ["bars"],
        ["replay", "none.csv"],
        ["send", "ticks_rejected", "{}"],
        ["flush"],
        ["migrate", "plan"],
        ["demo", "--once"],
        ["agents"],
    ],
    ids=lambda command: command[0],
)
def test_an_input_that_is_an_own_output_is_refused_by_every_command(tmp_path: Path, command: list[str]) -> None:
    line = the_line(Worker("127.0.0.1:9", tmp_path, topics_prefix="", ticks_topic="ticks_rejected").run(*command), SETTINGS)
    assert "ticks_topic=ticks_rejected is where the rejected records go" in line


def test_more_replicas_than_brokers_are_one_line_that_names_the_setting(new_worker: NewWorker) -> None:
    line = the_line(new_worker(replication_factor="9").run("topics"), BROKER)
    assert "cannot be created" in line
    assert "(replication_factor=9); set replication_factor to at most the number of brokers" in line


@pytest.mark.parametrize("broker", ["", "kafka://127.0.0.1:9"])
def test_a_data_directory_that_cannot_be_made_is_one_line_and_named_before_the_broker_is_waited_for(
    tmp_path: Path, broker: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    worker = Worker("127.0.0.1:9", tmp_path, broker=broker, pocket_port="0", data_dir=str(tmp_path / "file" / "below"))
    line = complaint(worker.run("worker"), SETTINGS)
    assert str(tmp_path / "file" / "below") in line
    assert "BARWHEEL_DATA_DIR" in line


def test_a_web_port_that_is_taken_is_one_line_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = complaint(Worker("127.0.0.1:9", tmp_path, web_port=port).run("worker"), SETTINGS)
    assert f"web_port={port}: cannot listen on 127.0.0.1: address already in use" in line
    assert "BARWHEEL_WEB_PORT" in line


def test_web_port_0_takes_a_free_port_and_says_it(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(web_port="0").spawn()
    said = until_sync(lambda: re.search(r"web_port=0: the web port is ([0-9]+)", worker.log()), deadline=60)
    assert said is not None
    worker.settings["web_port"] = said[1]
    status = until_sync(lambda: worker.get("/api/v1/status"), what="the page answers there", deadline=60)
    assert status is not None
    assert status["url"] == f"http://127.0.0.1:{said[1]}"


def test_doctor_finds_a_data_dir_that_cannot_be_used(pocket: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = Worker(pocket, tmp_path, data_dir=str(tmp_path / "file" / "below")).run("doctor")
    assert done.returncode == 1
    assert "BARWHEEL_DATA_DIR" in done.stdout


def test_a_session_timeout_that_the_broker_does_not_take_is_one_line(tmp_path: Path) -> None:
    worker = Worker("127.0.0.1:9", tmp_path, broker="", pocket_port="0", session_timeout="1ms")
    try:
        line = complaint(worker.run("worker"), SETTINGS)
        assert "session_timeout=1ms: broker 1 takes 1s to 30m" in line
        assert "session_timeout=1ms" in worker.run("doctor").stdout
    finally:
        worker.run("broker", "--stop")


def test_several_bad_settings_are_named_in_one_line(tmp_path: Path) -> None:
    line = the_line(Worker("127.0.0.1:9", tmp_path, grace="banana", scope="planet").run("worker"), SETTINGS)
    assert "grace=banana" in line
    assert "scope=planet" in line


def test_a_topic_with_the_wrong_number_of_partitions_ends_the_worker(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2")
    create_topic(worker.bootstrap, worker.finals_topic, 3, cleanup_policy="compact")
    done = worker.run("worker")
    assert done.returncode == TOPICS, done.stderr
    line = done.stderr.splitlines()[-1]
    assert worker.finals_topic in line
    assert "has 3 partitions and must have 2" in line
    assert "Traceback" not in done.stderr


def test_a_compacted_input_ends_the_worker_with_the_remedy(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1")
    create_topic(worker.bootstrap, worker.ticks_topic, 1, cleanup_policy="compact")
    done = worker.run("worker")
    assert done.returncode == TOPICS, done.stderr
    line = done.stderr.splitlines()[-1]
    assert f"topic {worker.ticks_topic}: has cleanup.policy=compact: compaction removes all but a symbol's last tick" in line
    assert f"--entity-name {worker.ticks_topic} --add-config cleanup.policy=delete" in line
    assert "Traceback" not in done.stderr


def test_other_settings_on_the_same_app_id_end_the_worker_and_both_are_named(new_worker: NewWorker, tmp_path: Path) -> None:
    worker = new_worker(topic_partitions="1", grace="5s").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(1_399_248_000_000)])
    worker.wait_read(1)
    worker.stop()
    other = worker.beside(
        tmp_path / "other",
        **{name: worker.settings[name] for name in ("app_id", "topics_prefix")},
        grace="7s",
    )
    done = other.run("worker")
    assert done.returncode == TOPICS, done.stderr
    assert "grace=5s stored, 7s set" in done.stderr.splitlines()[-1]


def test_two_apps_cannot_write_the_same_bars(new_worker: NewWorker, tmp_path: Path) -> None:
    worker = new_worker(topic_partitions="1").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(1_399_248_000_000), Tick(1_399_248_065_000)])
    read(worker.bootstrap, worker.finals_topic, 1)
    worker.stop()
    other = worker.beside(tmp_path / "other", topics_prefix=worker.settings["topics_prefix"])
    done = other.run("worker")
    assert done.returncode == TOPICS, done.stderr
    line = done.stderr.splitlines()[-1]
    assert worker.settings["app_id"] in line
    assert "topics_prefix" in line


def test_a_worker_whose_broker_is_away_logs_it_and_retries(tmp_path: Path) -> None:
    worker = Worker(f"127.0.0.1:{free_port()}", tmp_path).spawn()
    try:
        worker.wait_log("try 1,")
        worker.wait_log("try 3,")
        assert f"broker {worker.bootstrap} does not answer" in worker.log()
        assert "Traceback" not in worker.log()
    finally:
        worker.end()
