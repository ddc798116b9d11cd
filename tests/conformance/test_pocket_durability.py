"""The pocket broker alone: `kill -9` loses nothing that was acknowledged, and a directory has only one broker."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from app.errors import BrokerError
from app.pocket import process
from tests.conformance.clients import DEADLINE, admin, consumer, new_topic, producer, read, read_all, settings_of, unique
from tests.conformance.pocket_process import PocketProcess
from tests.support.ports import free_port
from tests.support.waiting import until, until_sync
from tests.support.worker import ROOT

COMMITTED: dict[str, Any] = {"isolation_level": "read_committed"}
ENSURE = """
import json, pathlib, sys
from app.pocket import process
found = process.ensure(pathlib.Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), float(sys.argv[3]))
print(json.dumps([found.host, found.port, found.pid]))
"""


async def test_every_acknowledged_record_survives_a_kill_in_order_and_once(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    acknowledged: list[int] = []

    async def write(client: AIOKafkaProducer, first: int) -> None:
        for number in range(first, first + 100_000):
            await client.send_and_wait(topic, b"%d" % number)
            acknowledged.append(number)

    async with producer(own_pocket.bootstrap, enable_idempotence=True, acks="all", request_timeout_ms=5000) as client:
        task = asyncio.create_task(write(client, 0))
        try:
            for round_number in range(1, 4):
                await until(lambda n=round_number: len(acknowledged) > 300 * n, deadline=DEADLINE)  # type: ignore[misc]
                own_pocket.kill()
                own_pocket.start()
            enough = len(acknowledged) + 300
            # the same idempotent producer continues: the broker recognizes what it sends again
            await until(lambda: len(acknowledged) > enough, deadline=DEADLINE)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    found = [int(record.value) for record in await read_all(own_pocket.bootstrap, topic)]
    assert found[: len(acknowledged)] == acknowledged
    assert found == list(range(len(found)))


async def test_topics_configs_committed_offsets_and_log_starts_survive_a_kill(own_pocket: PocketProcess) -> None:
    bootstrap = own_pocket.bootstrap
    topic, group = await new_topic(bootstrap, 3, retention__ms="777000"), unique("g")
    place = TopicPartition(topic, 1)
    async with producer(bootstrap) as client:
        for number in range(5):
            await client.send_and_wait(topic, b"%d" % number, partition=1)
    async with consumer(bootstrap, group_id=group) as client:
        client.assign([place])
        await client.commit({place: OffsetAndMetadata(3, "a note")})
    async with admin(bootstrap) as client:
        await client.delete_records({place: RecordsToDelete(before_offset=2)})
    own_pocket.kill()
    own_pocket.start()
    async with admin(bootstrap) as client:
        assert (await settings_of(client, topic))["retention.ms"] == "777000"
        assert (await client.list_consumer_group_offsets(group))[place] == OffsetAndMetadata(3, "a note")
    async with consumer(bootstrap) as client:
        client.assign([place])
        assert (await client.beginning_offsets([place]))[place] == 2
        assert (await client.end_offsets([place]))[place] == 5


async def test_offsets_continue_after_a_kill_if_all_records_were_deleted(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap) as client, admin(own_pocket.bootstrap) as other:
        for number in range(3):
            await client.send_and_wait(topic, b"%d" % number)
        await other.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=-1)})
    own_pocket.kill()
    own_pocket.start()
    async with producer(own_pocket.bootstrap) as client:
        assert (await client.send_and_wait(topic, b"next")).offset == 3


async def test_the_generation_of_a_group_does_not_decrease_after_a_kill(own_pocket: PocketProcess) -> None:
    topic, group = await new_topic(own_pocket.bootstrap), unique("g")
    generations: list[int] = []
    for _ in range(2):
        for _ in range(2):
            async with consumer(own_pocket.bootstrap, topic, group_id=group) as client:
                await until(client.assignment, deadline=DEADLINE)
                generations.append(client._coordinator.generation)
        own_pocket.kill()
        own_pocket.start()
    assert generations == sorted(set(generations))


async def test_an_open_transaction_can_be_committed_after_a_kill(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap, transactional_id=unique("tx"), request_timeout_ms=5000) as client:
        await client.begin_transaction()
        await client.send_and_wait(topic, b"one")
        own_pocket.kill()
        own_pocket.start()
        await client.send_and_wait(topic, b"two")
        await client.commit_transaction()
    found = await read_all(own_pocket.bootstrap, topic, **COMMITTED)
    assert [record.value for record in found] == [b"one", b"two"]


async def test_an_aborted_transaction_stays_aborted_after_a_kill(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap, transactional_id=unique("tx")) as client:
        await client.begin_transaction()
        await client.send_and_wait(topic, b"aborted")
        await client.abort_transaction()
        async with client.transaction():
            await client.send_and_wait(topic, b"committed")
    own_pocket.kill()
    own_pocket.start()
    async with consumer(own_pocket.bootstrap, topic, **COMMITTED) as client:
        assert [record.value for record in await read(client, 1)] == [b"committed"]


async def test_an_incomplete_last_batch_is_cut_off_and_writing_continues(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap) as client:
        for number in range(10):
            await client.send_and_wait(topic, b"%d" % number)
    own_pocket.kill()
    (path,) = [path for path in own_pocket.directory.rglob("*.log") if topic in str(path)]
    os.truncate(path, path.stat().st_size - 7)
    own_pocket.start()
    async with producer(own_pocket.bootstrap) as client:
        assert (await client.send_and_wait(topic, b"again")).offset == 9
    found = await read_all(own_pocket.bootstrap, topic)
    assert [record.value for record in found] == [*(b"%d" % number for number in range(9)), b"again"]


# ---- the process


def _ensure(directory: Path, port: int = 0, idle_exit: float = 0) -> tuple[process.Running | None, str]:
    """Call `ensure` in another process, as a worker does: the broker, or the error message."""
    command = [sys.executable, "-c", ENSURE, str(directory), str(port), str(idle_exit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    host, found, pid = json.loads(done.stdout)
    return process.Running(host, found, pid, directory), ""


def test_a_broker_is_started_found_again_and_stopped(tmp_path: Path) -> None:
    first, problem = _ensure(tmp_path)
    assert first is not None, problem
    try:
        assert _ensure(tmp_path)[0] == first
        assert process.running(tmp_path) == first
    finally:
        assert process.stop(tmp_path)
    assert process.running(tmp_path) is None
    assert not process.stop(tmp_path)


def test_processes_that_start_at_once_get_the_same_broker(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENSURE, str(tmp_path), "0", "0"]
    starters = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    answers = [one.communicate(timeout=60) for one in starters]
    try:
        assert [one.returncode for one in starters] == [0] * 4, answers
        assert len({json.loads(out)[2] for out, _ in answers}) == 1
    finally:
        assert process.stop(tmp_path), "the broker was not found again, and is left over"


def test_a_directory_has_one_broker(own_pocket: PocketProcess) -> None:
    command = [sys.executable, "-m", "app.pocket", "--port", "0", "--data-dir", str(own_pocket.directory)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode != 0
    assert str(own_pocket.directory) in second.stderr
    assert "Traceback" not in second.stderr
    assert process.running(own_pocket.directory) is not None


def test_a_port_that_is_taken_is_named_in_the_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        with pytest.raises(BrokerError, match=str(port)):
            process.ensure(tmp_path, port=port)


def test_a_broker_ends_by_itself_when_its_last_connection_has_closed(tmp_path: Path) -> None:
    broker = PocketProcess(tmp_path, port=free_port(), idle_exit=1.0)
    broker.start()
    with socket.create_connection(("127.0.0.1", broker.port)):
        until_sync(lambda: process.running(tmp_path) is not None)
    assert broker.wait() == 0
    assert process.running(tmp_path) is None


async def test_bytes_that_are_not_kafkas_protocol_close_that_connection_only(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x0a" + b"\xff" * 10, b"\x00\x00\x00\x02\x00\x01"):
        reader, writer = await asyncio.open_connection("127.0.0.1", own_pocket.port)
        writer.write(nonsense)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()
        await writer.wait_closed()
    async with producer(own_pocket.bootstrap) as client:
        await client.send_and_wait(topic, b"still here")


async def test_a_broker_that_is_stopped_exits_with_0(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap) as client:
        await client.send_and_wait(topic, b"x")
        assert own_pocket.stop() == 0
