"""Faust's worker for this application: checks before the start, signals and exit codes."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from typing import NoReturn, Protocol, cast

from faust.types.settings import Settings as FaustSettings
from faust.types.transports import TransportT
from faust.worker import Worker
from yarl import URL

from agents.bar_schemas import BarSchemas
from agents.engines import why_python
from agents.tasks import TaskManager
from agents.topics import TopicsReport, ensure
from app.errors import BarwheelError, BrokerError, SettingsError
from app.kafka.bootstrap import cluster_for, unreachable, wait_for_broker
from app.kafka.cluster import Cluster
from app.kafka.failures import may_pass
from app.kafka.limits import check_limits
from app.ksqldb.migrating import Migrating
from app.settings import Settings, unknown_variables
from app.settings.data_dir import make_folder
from app.settings.types import MigrateOnBoot, Native
from app.signals import Signals
from app.stderr import fail, say
from app.web.security.access import check_bind_address, check_port_free
from app.web.security.connections import raise_file_limit
from tables import native

RETRY_SECONDS = 1.0  # after the broker failed a request, and another attempt may help
# Open windows are many, live for a minute and are in no reference cycle. With Python's default thresholds the collector
# would traverse them all the time and free nothing.
GC_THRESHOLDS = (50_000, 50, 100)


class WorkerApp(Protocol):
    """What the worker needs of the Faust app."""

    settings: Settings
    conf: FaustSettings
    task_manager: TaskManager
    migrating: Migrating
    ended_by: BaseException | None
    stop_worker: Callable[[signal.Signals], None]

    @property
    def transport(self) -> TransportT:
        """The consumer's transport."""

    @property
    def producer_transport(self) -> TransportT:
        """The producer's transport."""


class BarwheelWorker(Worker):
    """Faust's worker with checks before the start; a known error ends it with one line instead of a traceback."""

    def execute_from_commandline(self) -> NoReturn:
        """Run until stopped; exits with the code of the error that ended it, or 128 + n after a second signal n."""
        app = cast("WorkerApp", self.app)
        app.stop_worker = self._schedule_shutdown
        preparing = self.loop.create_task(prepare(app))
        self._signals = Signals(self.loop)
        self._signals.finish = lambda _: preparing.cancel()
        self._signals.install()
        try:
            self.loop.run_until_complete(preparing)
        except BarwheelError as error:
            fail(error)
        except asyncio.CancelledError:
            raise SystemExit(0) from None  # stopped before there was anything to checkpoint
        try:
            super().execute_from_commandline()
        except SystemExit:
            if isinstance(app.ended_by, BarwheelError):
                fail(app.ended_by)
            raise

    def _install_signal_handlers_unix(self) -> None:
        self.loop.add_signal_handler(signal.SIGUSR1, self._on_sigusr1)
        self.loop.add_signal_handler(signal.SIGUSR2, self._on_sigusr2)
        self._signals.finish = self._finish
        if self._signals.received:  # a signal that came after `prepare` and before this line
            self._finish(signal.SIGTERM)

    def _finish(self, number: signal.Signals) -> None:
        self._flag_as_shutdown_by_signal()
        self._schedule_shutdown(number)


async def prepare(app: WorkerApp) -> None:
    """Check the settings and ports, find or start the broker, create or check the topics, and migrate if required.

    Raises `SettingsError`, `InputError`, `BrokerError`, `TopicsError`, `RegistryError` or `MigrationError`: the worker must not
    start.
    """
    manage_memory(app.settings)
    raise_file_limit()
    for name in unknown_variables():
        say(f"{name} is set, but there is no such setting")
    settings, tasks = app.settings, app.task_manager
    check_native(settings)
    check_bind_address(settings, app.conf.web_bind)
    if not settings.web_port:
        say(f"web_port=0: the web port is {app.conf.web_port}")
    if app.conf.web_enabled and app.conf.web_transport.scheme == "tcp":
        check_port_free(app.conf.web_bind, app.conf.web_port)
    make_folder(settings.data_dir)  # Faust creates only the last folder of its own path
    tasks.url = str(app.conf.canonical_url).rstrip("/")
    tasks.cluster = cluster_for(settings)
    # The pocket broker's port is known only now. The app was built with a guess.
    app.transport.url = app.producer_transport.url = broker_urls(tasks.cluster.bootstrap)
    tasks.topics = await ensured_topics(settings, tasks.cluster)
    for finding in tasks.topics.findings:
        say(str(finding))
    await tasks.schemas.check()
    await BarSchemas(settings).check()
    why = why_python(settings)
    say(f"ticks are processed by the core in Python: {why}" if why else "ticks are processed by the native core")
    if settings.pocket:
        say(f"using the pocket broker at {tasks.cluster}: for trying out and tests, production is Apache Kafka")
    if settings.migrate_on_boot is MigrateOnBoot.require:
        from app.ksqldb.boot import at_boot  # noqa: PLC0415  # a worker that does not migrate needs nothing of it

        await at_boot(settings, tasks.cluster, app.migrating)


async def ensured_topics(settings: Settings, cluster: Cluster) -> TopicsReport:
    """Create or check the topics as soon as the broker answers. Raises `TopicsError`, and `BrokerError` where it refuses."""
    while True:
        await wait_for_broker(cluster, say=say)
        try:
            await check_limits(settings, cluster)
            return await ensure(settings, cluster)
        except BrokerError as error:
            if not may_pass(error) and await unreachable(cluster) is None:
                raise
            say(f"{error}; next try in {RETRY_SECONDS:.0f} s")
            await asyncio.sleep(RETRY_SECONDS)


def manage_memory(settings: Settings) -> None:
    """Have few collections of garbage, and large pages."""
    gc.set_threshold(*GC_THRESHOLDS)
    if settings.native is not Native.off:
        native.use_large_pages()


def check_native(settings: Settings) -> None:
    """Raise `SettingsError` where the compiled core is required and is not there."""
    if settings.native is Native.on and native.NATIVE is None:
        raise SettingsError(
            f"native=on: the compiled core is not there ({native.MISSING}): install a C compiler and Python's headers and "
            "install barwheel again, or set native=auto"
        )


def advertised_host(host: str) -> str:
    """The host in the URL that other workers are given, for the address that the web port listens on."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  # compared, not listened on
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def broker_urls(bootstrap: str) -> list[URL]:
    """`host:port[,host:port]` as Faust wants it: one `kafka://` URL per address."""
    return [URL(f"kafka://{address}") for address in bootstrap.split(",")]
