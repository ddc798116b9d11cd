"""The Faust app: settings, transport, agent, timer, web port and commands wired together."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any, cast

import faust

from agents import ticks, timers
from agents.log_watch import WATCH_MS
from agents.tasks import TaskManager
from app import commands
from app.driver.background import Background
from app.driver.consumer import Consumer
from app.driver.schema import SliceSchema
from app.driver.tables import ViewTableManager, add_views
from app.driver.transport import Transport
from app.errors import BarwheelError, SettingsError
from app.kafka.cluster import client_options, codec_name, faust_credentials
from app.ksqldb.history_table import history_table, keep
from app.ksqldb.migrating import Migrating
from app.settings import Settings
from app.settings.checks import REQUEST_MS
from app.settings.types import MigrateOnBoot
from app.stderr import fail
from app.web.security.access import free_port
from app.worker import BarwheelWorker, advertised_host, broker_urls

log = logging.getLogger(__name__)
FETCH_BYTES = 2 << 20  # of a partition: a worker that catches up holds several answers at once
WAITING_SLICES = 4  # in the stream; each keeps the answer in memory that it came in


class BarwheelApp(faust.App):
    """The application. `task_manager` holds the partitions' tasks, `ended_by` the error that stopped the worker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ended_by: BaseException | None = None
        self.stop_worker: Callable[[signal.Signals], None] = lambda _: None  # set by the worker
        self.task_manager = TaskManager(settings, self.end)
        self.migrating = Migrating()
        self.applied: Any = None  # the table of applied migrations
        super().__init__(
            settings.app_id,
            broker=broker_urls(settings.bootstrap or f"127.0.0.1:{settings.pocket_port}"),
            broker_credentials=faust_credentials(client_options(settings)),
            datadir=str(settings.data_dir / "faust"),
            store="memory://",
            topic_disable_leader=True,  # nothing here needs a leader, nor the topic that Faust creates to elect one
            topic_allow_declare=False,  # `agents.topics` creates them with the right policies
            table_standby_replicas=0,
            broker_commit_interval=settings.checkpoint_interval / 1_000,
            broker_commit_every=sys.maxsize,
            broker_request_timeout=REQUEST_MS / 1_000,
            broker_session_timeout=settings.session_timeout / 1_000,
            broker_heartbeat_interval=settings.session_timeout / 10_000,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=FETCH_BYTES,
            producer_compression_type=codec_name(settings.compression),
            consumer_group_instance_id=settings.consumer_group_instance_id or None,
            stream_buffer_maxsize=WAITING_SLICES,
            stream_wait_empty=False,
            web_bind=settings.web_host,
            web_port=settings.web_port or free_port(settings.web_host),
            web_host=advertised_host(settings.web_host),
            canonical_url=settings.web_url or None,
            web_router_enabled=False,
            web_tables_enabled=False,
            Worker=BarwheelWorker,
            TableManager=ViewTableManager,
            autodiscover=False,
        )

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker, self, tasks=self.task_manager)

    def _new_producer_transport(self) -> Transport:
        return self._new_transport()

    def _new_web(self) -> Any:
        """The web server with our routes. Imported here: only a worker serves."""
        from app.web.server import install  # noqa: PLC0415  # see above

        server = super()._new_web()
        install(server, self.settings, self.task_manager, self.migrating, self.applied)
        return server

    async def end(self, error: BaseException) -> None:
        """Stop the worker because of an error; the first one counts."""
        if self.ended_by is None:
            self.ended_by = error
            if isinstance(error, BarwheelError):
                log.critical("%s", error)
                self.task_manager.stop_intake()
                self.stop_worker(signal.SIGTERM)  # Faust's regular shutdown: checkpoint, leave the group, stop
            else:
                await self.crash(error)


@functools.cache
def faust_app() -> BarwheelApp:
    """The app with everything registered; an invalid setting ends the process with one line and exit code 2."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        fail(error)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # at INFO it logs every subscription and every request
    app = BarwheelApp(settings)
    _register_processing(app)
    _register_repartition(app)
    _register_migrations(app)
    commands.register(app)
    return app


def _register_processing(app: BarwheelApp) -> None:
    """The agent over the ticks, the timer, and recovery after each rebalance."""
    settings, tasks = app.settings, app.task_manager
    topic = app.topic(settings.input_topic, schema=SliceSchema(), internal=False)
    ticks.register(app, topic, tasks.feed)
    timers.register(app, settings.wheel_tick, tasks.tick)
    timers.register(app, WATCH_MS, tasks.watch)

    async def recover(*_: Any, **__: Any) -> None:
        tasks.consumer = cast("Consumer", app.consumer)
        numbers = {tp.partition for tp in app.consumer.assignment() if tp.topic == settings.input_topic}
        await tasks.assign(numbers)

    app.on_rebalance_complete.connect(recover)


def _register_repartition(app: BarwheelApp) -> None:
    """The second agent, with `repartition=on`: it copies the sources to the input topic."""
    tasks = app.task_manager
    repartitioner = tasks.repartitioner
    if repartitioner is None:
        return

    async def repartition() -> None:
        """Copies the ticks of the sources to the input topic, by symbol."""
        assert tasks.topics is not None  # noqa: S101  # checked before the worker starts
        await repartitioner.run(tasks.cluster, tasks.topics)

    cast("Any", app).service(Background(repartition, "Repartition"))


def _register_migrations(app: BarwheelApp) -> None:
    """Migrations in the background, and their history as a table. A worker without a ksqlDB imports nothing of it."""
    settings, tasks = app.settings, app.task_manager

    async def migrate() -> None:
        """Apply the plan in the background; ticks do not wait for it, and a failure does not stop the worker."""
        if settings.migrate_on_boot is MigrateOnBoot.background and settings.ksqldb_url:
            from app.ksqldb.boot import at_boot  # noqa: PLC0415  # see above

            try:
                await at_boot(settings, tasks.cluster, app.migrating)
            except Exception as error:  # bars do not depend on migrations
                log.exception("migrations")
                app.migrating.state, app.migrating.error = "failed", f"{type(error).__name__}: {error}"

    cast("Any", app).task(migrate)
    app.applied = applied = history_table(app, settings.history_topic)
    add_views(app, lambda: [task.engine for task in tasks.running().values()], applied)

    async def follow_history() -> None:
        """Keep the table up to date with what any worker or command has applied."""
        if settings.ksqldb_url:
            await keep(applied, tasks.cluster, settings.history_topic, settings.app_id, settings.replication_factor)

    cast("Any", app).task(follow_history)

    async def watch_ksqldb() -> None:
        """Look at the queries of the history."""
        if settings.ksqldb_url:
            from app.ksqldb.watch import keep_watch  # noqa: PLC0415  # see above

            await keep_watch(settings, tasks.cluster, app.migrating.watched, applied)

    cast("Any", app).task(watch_ksqldb)
