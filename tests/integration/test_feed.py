"""Sending ticks to a broker that takes none."""

from __future__ import annotations

import asyncio
import logging
import signal

import pytest

from app.errors import BrokerError
from app.kafka.cluster import Cluster
from app.tickfiles import feed as module
from app.tickfiles.feed import Feed
from tests.conformance.pocket_process import PocketProcess
from tests.integration.conftest import NewWorker
from tests.support.ticks import create_topic, read


def test_a_broker_that_acknowledges_nothing_ends_the_sending_with_one_line(
    own_pocket: PocketProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    create_topic(own_pocket.bootstrap, "ticks", 1)

    async def send() -> None:
        async with Feed(Cluster(own_pocket.bootstrap), "ticks", 1) as feed:
            feed.put(b"A|x", b"1")
            await feed.settle()
            own_pocket.send_signal(signal.SIGSTOP)
            feed.put(b"A|x", b"2")

    try:
        with pytest.raises(BrokerError, match="acknowledged nothing"):
            asyncio.run(send())
    finally:
        own_pocket.send_signal(signal.SIGCONT)


def test_what_aiokafka_says_of_each_attempt_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("test_feed")
    log.addFilter(module._Once())
    for partition in range(5):
        log.warning("Got error produce response on %s, retrying", partition)
    log.warning("another")
    assert [record.getMessage() for record in caplog.records] == ["Got error produce response on 0, retrying", "another"]


def test_the_demo_feeds_ticks_to_the_user_s_own_topic(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1")
    done = worker.run("demo", "--feed", "--seconds", "1", "--symbols", "30")
    assert done.returncode == 0, done.stderr
    sent = int(done.stderr.splitlines()[-1].split()[0])
    assert sent > 0
    assert len(read(worker.bootstrap, worker.ticks_topic, sent)) == sent


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ({"ticks_fields": "ts=t,bid=b"}, (), "app demo --feed sends ticks in the default layout"),
        ({"ticks_topic": "a,b", "repartition": "on"}, (), "app demo --feed sends to one topic"),
        ({}, ("--once",), "--feed shows no result"),
        ({}, ("--seconds", "0"), "--seconds 0: must be more than 0"),
    ],
)
def test_a_feed_that_nobody_would_read_is_refused(
    pocket_worker: NewWorker, settings: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    done = pocket_worker(**settings).run("demo", "--feed", *options)
    assert done.returncode == 2
    assert said in done.stderr
