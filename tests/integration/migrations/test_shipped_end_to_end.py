"""The shipped plan on the stand-in, by the steps that `tests/e2e` takes on a real server."""

from __future__ import annotations

from migrations.server.client import KsqlClient
from tests.e2e.leftovers import drop_all
from tests.e2e.shipped import apply_through_a_restart, apply_with_revisions, run_through
from tests.support.ksqldb import KsqlServer
from tests.support.worker import Worker


def test_the_shipped_plan_is_applied_adopted_swapped_rolled_back_and_retired(worker: Worker) -> None:
    assert worker.run("topics").returncode == 0
    run_through(worker)


async def test_nothing_of_the_shipped_plan_is_left_on_a_server_that_is_used_again(worker: Worker, server: KsqlServer) -> None:
    assert worker.run("topics").returncode == 0
    assert worker.run("migrate", "--apply").returncode == 0
    server.ksql("CREATE STREAM of_others (x INT) WITH (KAFKA_TOPIC='o', PARTITIONS=1, VALUE_FORMAT='JSON');")
    server.fault("error", match="DROP")  # as a server does that has just been restarted
    await drop_all(worker)
    async with KsqlClient(server.url) as client:
        catalog = await client.catalog()
    assert (sorted(catalog.sources), catalog.queries) == (["OF_OTHERS"], {})


def test_the_plan_with_revisions_and_longer_bars_is_applied_once(worker: Worker, server: KsqlServer) -> None:
    worker.settings |= {"late_policy": "correct", "frames": "2m,1M"}
    for frame in ("1m", "2m", "1M"):
        for kind in ("final", "corrections"):
            server.topic(f"{worker.settings['topics_prefix']}bar_{frame}_{kind}")
    assert worker.run("topics").returncode == 0
    apply_with_revisions(worker)


async def test_the_shipped_plan_is_applied_once_through_a_restart_of_the_server(worker: Worker, server: KsqlServer) -> None:
    def restart() -> None:
        server.kill()
        server.start()

    assert worker.run("topics").returncode == 0
    await apply_through_a_restart(worker, restart)
    assert len(server.executed()) == 6
