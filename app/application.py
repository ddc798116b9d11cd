"""The Faust app: settings, transport, agent, timer, web port and commands put together."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast

import faust
from faust.worker import Worker
from yarl import URL

from agents import ticks, timers
from agents.tasks import TaskManager
from app.driver.transport import Consumer, SliceSchema, Transport
from app.errors import BarwheelError, BrokerError, SettingsError
from app.kafka.bootstrap import cluster_for, unreachable, wait_for_broker
from app.kafka.cluster import client_options, faust_credentials
from app.kafka.topics import ensure
from app.ksqldb.boot import Migrating, at_boot
from app.ksqldb.history_table import history_table, keep
from app.settings import Settings, unknown_variables
from app.settings.types import MigrateOnBoot, make_folder
from app.signals import Signals
from app.web.security.access import check_bind_address, check_port_free
from app.web.server import install

log = logging.getLogger(__name__)
# open windows are many, live for a minute and hold no cycles: looking through them all the time finds nothing
GC_THRESHOLDS = (50_000, 50, 100)


class BarwheelWorker(Worker):
    """Faust's worker, with checks before it starts and one readable line instead of a traceback where we know the cause."""

    def execute_from_commandline(self) -> NoReturn:
        """Run until stopped; exits with the code of the error that ended it, or 128 + n after a second signal n."""
        app = cast("BarwheelApp", self.app)
        app.stop_worker = self._schedule_shutdown
        preparing = self.loop.create_task(app.prepare())
        self._signals = Signals(self.loop)
        self._signals.finish = lambda _: preparing.cancel()
        self._signals.install()
        try:
            self.loop.run_until_complete(preparing)
        except BarwheelError as error:
            _end(error)
        except asyncio.CancelledError:
            raise SystemExit(0) from None  # asked to stop before there was anything to finish
        try:
            super().execute_from_commandline()
        except SystemExit:
            if isinstance(app.ended_by, BarwheelError):
                _end(app.ended_by)
            raise

    def _install_signal_handlers_unix(self) -> None:
        self.loop.add_signal_handler(signal.SIGUSR1, self._on_sigusr1)
        self.loop.add_signal_handler(signal.SIGUSR2, self._on_sigusr2)
        self._signals.finish = self._finish
        if self._signals.received:  # between the two
            self._finish(signal.SIGTERM)

    def _finish(self, number: signal.Signals) -> None:
        self._flag_as_shutdown_by_signal()
        self._schedule_shutdown(number)


class BarwheelApp(faust.App):
    """The application; `tasks` holds the partitions."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ended_by: BaseException | None = None
        self.stop_worker: Callable[[signal.Signals], None] = lambda _: None  # the worker puts its own here
        self.task_manager = TaskManager(settings, self.end)
        self.migrating = Migrating()
        super().__init__(
            settings.app_id,
            broker=broker_urls(settings.bootstrap or f"127.0.0.1:{settings.pocket_port}"),
            broker_credentials=faust_credentials(client_options(settings)),
            datadir=str(settings.data_dir / "faust"),
            store="memory://",
            topic_disable_leader=True,  # nothing here needs a leader, nor the topic Faust makes for it
            topic_allow_declare=False,  # `app.kafka.topics` creates them, with the right policies
            table_standby_replicas=0,
            broker_commit_interval=settings.checkpoint_interval / 1_000,
            broker_commit_every=sys.maxsize,
            broker_session_timeout=settings.session_timeout / 1_000,
            broker_heartbeat_interval=settings.session_timeout / 10_000,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=4 << 20,
            consumer_group_instance_id=settings.consumer_group_instance_id or None,
            stream_buffer_maxsize=16,
            stream_wait_empty=False,
            web_bind=settings.web_host,
            web_port=settings.web_port,
            web_host=known_as(settings.web_host),
            canonical_url=settings.web_url or None,
            web_router_enabled=False,
            web_tables_enabled=False,
            Worker=BarwheelWorker,
            autodiscover=False,
        )

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker, self)

    def _new_producer_transport(self) -> Transport:
        return self._new_transport()

    async def prepare(self) -> None:
        """Find or start the broker, check the topics; raises what keeps the worker from starting."""
        gc.set_threshold(*GC_THRESHOLDS)
        for name in unknown_variables():
            _say(f"{name} is set, but there is no such setting")
        settings, tasks = self.settings, self.task_manager
        check_bind_address(settings, self.conf.web_bind)
        if self.conf.web_enabled and self.conf.web_transport.scheme == "tcp":
            check_port_free(self.conf.web_bind, self.conf.web_port)
        make_folder(settings.data_dir)  # Faust makes only the last folder of its own
        tasks.url = str(self.conf.canonical_url).rstrip("/")
        tasks.cluster = cluster_for(settings)
        # only now is the pocket broker's address known: what Faust was told at first was a guess
        self.transport.url = self.producer_transport.url = broker_urls(tasks.cluster.bootstrap)
        while tasks.topics is None:
            await wait_for_broker(tasks.cluster, say=_say)
            try:
                tasks.topics = await ensure(settings, tasks.cluster)
            except BrokerError:
                if await unreachable(tasks.cluster) is None:
                    raise  # it is there, and means it
        for finding in tasks.topics.findings:
            _say(str(finding))
        if settings.pocket:
            _say(f"using the pocket broker at {tasks.cluster}: for trying out and tests, production is Apache Kafka")
        if settings.migrate_on_boot is MigrateOnBoot.require:
            await at_boot(settings, tasks.cluster, self.migrating)

    async def end(self, error: BaseException) -> None:
        """Stop the worker because of an error."""
        if self.ended_by is None:
            self.ended_by = error
            if isinstance(error, BarwheelError):
                log.critical("%s", error)
                self.task_manager.stop_intake()
                self.stop_worker(signal.SIGTERM)  # the way out that Faust knows: checkpoint, leave, stop
            else:
                await self.crash(error)


def known_as(host: str) -> str:
    """The name in the address that other workers are told, for the address that the web port listens on."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  # this is not where it listens
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def broker_urls(bootstrap: str) -> list[URL]:
    """`host:port[,host:port]` as Faust wants it."""
    return [URL(f"kafka://{address}") for address in bootstrap.split(",")]


def _say(text: str) -> None:
    """One line before Faust has set up logging, which would swallow it."""
    sys.stderr.write(f"app: {text}\n")
    sys.stderr.flush()


def _end(error: BarwheelError) -> NoReturn:
    sys.stderr.write(f"app: {error}\n")
    raise SystemExit(error.exit_code)


@functools.cache
def faust_app() -> BarwheelApp:
    """The app with everything registered; bad settings end the process with one line and exit code 2."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        _end(error)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # it tells of every subscription and every request
    app = BarwheelApp(settings)
    tasks = app.task_manager
    topic = app.topic(settings.ticks_topic, schema=SliceSchema(), internal=False)
    ticks.register(app, topic, tasks.feed)
    timers.register(app, settings.wheel_tick, tasks.tick)

    async def recover(*_: Any, **__: Any) -> None:
        tasks.consumer = cast("Consumer", app.consumer)
        numbers = {tp.partition for tp in app.consumer.assignment() if tp.topic == settings.ticks_topic}
        await tasks.assign(numbers)

    app.on_rebalance_complete.connect(recover)

    async def migrate() -> None:
        """Beside the ticks, which do not wait for it."""
        if settings.migrate_on_boot is MigrateOnBoot.warn:
            try:
                await at_boot(settings, tasks.cluster, app.migrating)
            except Exception as error:  # whatever it is, the bars go on
                log.exception("migrations")
                app.migrating.state, app.migrating.error = "failed", f"{type(error).__name__}: {error}"

    cast("Any", app).task(migrate)
    applied = history_table(app, settings.history_topic)

    async def follow_history() -> None:
        """What any runner applied shows on every worker."""
        if settings.ksqldb_url:
            await keep(applied, tasks.cluster, settings.history_topic, settings.app_id, settings.replication_factor)

    cast("Any", app).task(follow_history)
    install(app.web, settings, tasks, app.migrating, applied)

    from app.commands import register  # noqa: PLC0415  # the commands need the app

    register(app)
    return app
