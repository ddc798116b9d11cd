"""`/metrics`: what the engines and the worker have counted, read when Prometheus asks; no symbols among the labels."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agents.metrics import LONG, Histogram
from app.readmodel.model import State
from app.version import __version__

if TYPE_CHECKING:
    from app.ksqldb.boot import Migrating
    from app.web.context import WebContext

STATES = ("starting", "recovering", "running", "waiting", "stopped")
OUTCOMES = ("binned", "late", "rejected", "heartbeats", "lost")


def registry(web: WebContext, migrating: Migrating) -> CollectorRegistry:
    """All that a worker shows."""
    made = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    made.register(WorkerCollector(web, migrating))
    return made


class WorkerCollector(Collector):
    """Samples one worker."""

    def __init__(self, web: WebContext, migrating: Migrating) -> None:
        self._web = web
        self._migrating = migrating
        space = web.settings.metrics_namespace
        self._prefix = f"{space}_" if space else ""

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment."""
        yield from self._partitions()
        yield from self._worker()
        yield from self._durations()
        yield from self._migrations()

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> CounterMetricFamily:
        return CounterMetricFamily(self._prefix + name, text, labels=labels)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._prefix + name, text, labels=labels)

    def _histogram(self, name: str, text: str, found: Histogram) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._prefix + name, text, buckets=found.buckets(), sum_value=found.sum)

    def _partitions(self) -> Iterator[Metric]:
        label = ("partition",)
        ticks = self._counter(
            "ticks_processed",
            "Records of the input by what became of them; stored with the position, so they go on after a restart. "
            "Together (without lost) they are ticks_read_total.",
            ("partition", "outcome"),
        )
        read = self._counter("ticks_read", "Records read from the input, stored with the position.", label)
        opened = self._gauge("windows_open_count", "Open windows.", label)
        lag = self._gauge(
            "watermark_lag_ms",
            "How far the watermark of the partition's foremost scope is behind the clock (ms); it grows while no ticks come.",
            label,
        )
        behind = self._gauge("consumer_lag_records", "Records of the input that have not been read yet.", label)
        unsaved = self._gauge(
            "checkpoint_lag_records", "Records read since the last checkpoint: read again after a crash.", label
        )
        violations = self._counter(
            "arrival_clock_violations",
            "Records that arrived with a time the idle timer had passed: raise idle_margin. Since the partition was assigned.",
            label,
        )
        wheel = self._gauge("wheel_entries_count", "Entries in the timing wheel.", label)
        now = time.time() * 1_000
        for number, partition in sorted(self._web.owners.items()):
            engine, name = partition.engine, [str(number)]
            for outcome in OUTCOMES:
                ticks.add_metric([*name, outcome], getattr(engine.counters, outcome))
            read.add_metric(name, engine.counters.read)
            opened.add_metric(name, engine.open_windows)
            times = [stream_time for stream_time, _ in engine.stream_times().values()]
            if times:
                lag.add_metric(name, now - max(times) + engine.config.grace)
            end = self._web.high_watermark(number, partition.consumed_to)
            if end is not None:
                behind.add_metric(name, end - partition.consumed_to)
            unsaved.add_metric(name, partition.consumed_to - partition.checkpointed_to)
            violations.add_metric(name, engine.arrival_violations)
            wheel.add_metric(name, engine.wheel.size)
        yield from (ticks, read, opened, lag, behind, unsaved, violations, wheel)

    def _worker(self) -> Iterator[Metric]:
        web, metrics = self._web, self._web.tasks.metrics
        bars = self._counter(
            "bars_emitted",
            "Final bars that the broker acknowledged, by what closed them, since this worker started.",
            ("reason",),
        )
        for reason in ("watermark", "idle"):
            bars.add_metric([reason], metrics.bars[reason])
        late = self._counter(
            "late_ticks_dropped", "Ticks that came after their window had closed, since this worker started.", ("reason",)
        )
        rejected = self._counter(
            "rejected_ticks", "Records that are no ticks, by reason, since this worker started.", ("reason",)
        )
        late.add_metric(["late"], metrics.side["late", "late"])
        for (kind, reason), count in sorted(metrics.side.items()):
            if kind == "rejected":
                rejected.add_metric([reason], count)
        yield from (bars, late, rejected)
        ready = web.tasks.readiness()
        state = self._gauge("worker_state", "1 for the state that the worker is in, 0 for the others.", ("state",))
        for name in STATES:
            state.add_metric([name], float(name == ready["state"]))
        yield state
        owned = self._gauge("partitions_owned_count", "Partitions at work on this worker.")
        owned.add_metric([], len(web.owners))
        yield owned
        consumer = web.tasks.consumer
        silent = self._gauge("broker_silent_seconds", "Time since the broker answered a fetch; absent without partitions.")
        if consumer is not None and web.owners:
            silent.add_metric([], consumer.silence())
        yield silent
        live = self._gauge("read_model_live", "1 where the local copy of the final bars has been read to the topic's end.")
        live.add_metric([], float(web.model.state is State.live))
        behind = self._gauge("read_model_behind_records", "Records that the local copy has still to read.")
        behind.add_metric([], web.model.behind)
        streams = self._gauge("event_streams_open_count", "Open event streams.")
        streams.add_metric([], web.hub.clients)
        asked = self._counter("web_requests", "Answered requests to the web port, by status.", ("status",))
        for status, count in sorted(web.answered.items()):
            asked.add_metric([status], count)
        yield from (live, behind, streams, asked)
        yield InfoMetricFamily(
            self._prefix + "build", "Version and app id.", value={"version": __version__, "app_id": web.settings.app_id}
        )

    def _durations(self) -> Iterator[Metric]:
        metrics = self._web.tasks.metrics
        yield self._histogram(
            "tick_to_bar_seconds",
            "From the arrival of what closed a window (the due time for idle) to the broker's acknowledgement of its bar.",
            metrics.arrival_to_bar,
        )
        yield self._histogram(
            "window_due_to_bar_seconds",
            "From the end of a window plus grace, in event time, to the acknowledgement of its bar; large in a replay.",
            metrics.due_to_bar,
        )
        yield self._histogram("checkpoint_seconds", "How long the checkpoint of a partition took.", metrics.checkpoint)
        yield self._histogram("recovery_seconds", "From an assignment until its partitions were ready.", metrics.recovery)
        yield self._histogram("wheel_timer_lag_seconds", "How late a turn of the wheel's task was.", metrics.timer_lag)

    def _migrations(self) -> Iterator[Metric]:
        found = self._migrating
        applied = self._counter("migrations_applied", "KSQL statements that this worker applied when it started.")
        applied.add_metric([], len(found.applied))
        skipped = self._counter("migrations_skipped", "KSQL statements that were applied already when this worker started.")
        skipped.add_metric([], found.skipped)
        failed = self._gauge("migrations_failed", "1 while the migrations of this worker's start fail.")
        failed.add_metric([], float(found.state == "failed"))
        took = Histogram([bound * 1_000 for bound in LONG])
        for entry in found.applied:
            took.add(entry.duration_ms)
        yield from (applied, skipped, failed)
        yield self._histogram("ksql_apply_latency_ms", "How long ksqlDB took for a statement (ms).", took)
