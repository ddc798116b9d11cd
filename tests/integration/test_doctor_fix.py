"""`app doctor --fix` creates and corrects what is ours, after asking, and leaves all else as it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.topics import wait_for_topics
from tests.integration.conftest import NewWorker
from tests.support.ticks import create_topic
from tests.support.worker import Worker


def configs(worker: Worker, *topics: str) -> dict[str, dict[str, str]]:
    """The configs of topics, as the broker describes them."""

    async def look() -> dict[str, dict[str, str]]:
        async with admin(Cluster(worker.bootstrap)) as client:
            return {name: state.configs for name, state in (await wait_for_topics(client, list(topics))).items()}

    return asyncio.run(look())


def findings(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["findings"]
    return found


def test_fix_creates_and_corrects_our_topics_and_touches_nothing_else(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="2")
    other = f"{worker.ticks_topic}-of-others"
    create_topic(worker.bootstrap, worker.ticks_topic, 2, message_timestamp_type="CreateTime")
    create_topic(worker.bootstrap, worker.finals_topic, 2, cleanup_policy="delete", retention_ms="123456789")
    create_topic(worker.bootstrap, other, 1)
    before = configs(worker, worker.ticks_topic, other)

    refused = worker.run("doctor", "--fix")
    assert (refused.returncode, "nothing was changed: --yes" in refused.stderr) == (2, True), refused.stderr
    assert f"to do: set cleanup.policy=compact on topic {worker.finals_topic}" in refused.stderr
    assert f"to do: create topic {worker.late_topic}" in refused.stderr
    assert configs(worker, worker.finals_topic)[worker.finals_topic]["cleanup.policy"] == "delete"

    mended = worker.run("doctor", "--fix", "--yes", "--json")
    done = json.loads(mended.stdout)["done"]
    created = (worker.late_topic, worker.rejected_topic, worker.changelog_topic)
    assert set(done) == {
        f"topic {worker.finals_topic}: cleanup.policy=compact is set",
        *(f"topic {name} is created" for name in created),
    }
    now = configs(worker, worker.finals_topic, worker.late_topic)
    assert now[worker.finals_topic]["cleanup.policy"] == "compact"
    assert now[worker.finals_topic]["retention.ms"] == "123456789", "a config that nobody complained of stays"
    assert configs(worker, worker.ticks_topic, other) == before
    wrong = [item for item in findings(mended.stdout) if item["level"] == "wrong"]
    assert mended.returncode == 1
    assert wrong
    assert all(worker.ticks_topic in item["text"] and item["risk"] for item in wrong), "its owner changes the input"

    again = worker.run("doctor", "--fix")
    assert "nothing that --fix can mend" in again.stderr
    assert "  risk: a producer's wrong clock" in again.stdout


def test_yes_without_fix_is_refused(pocket_worker: NewWorker) -> None:
    done = pocket_worker().run("doctor", "--yes")
    assert (done.returncode, "--yes goes with --fix" in done.stderr) == (2, True)
