"""`/metrics`: counters and gauges of the engines and the worker, read at each scrape. No label holds a symbol."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agents.metrics import Histogram
from app.readmodel.progress import State
from app.version import __version__
from app.web.context import WebContext
from app.web.metric_names import naming
from app.web.migration_metrics import migration_metrics, watch_metrics
from app.web.repartition_metrics import repartition_metrics
from app.web.sampling import stream_time_bounds

STATES = ("starting", "recovering", "running", "waiting", "stopped")
OUTCOMES = ("binned", "corrected", "late", "rejected", "heartbeats", "lost")


def registry(web: WebContext) -> CollectorRegistry:
    """The metrics of a worker, its process and the Python runtime."""
    collectors = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=collectors)
    PlatformCollector(registry=collectors)
    GCCollector(registry=collectors)
    collectors.register(WorkerCollector(web))
    return collectors


class WorkerCollector(Collector):
    """Reads the metrics of one worker."""

    def __init__(self, web: WebContext) -> None:
        self._web = web
        self._named = naming(web.settings.metrics_namespace)

    def collect(self) -> Iterable[Metric]:
        """The current values."""
        yield from self._partitions()
        yield from self._worker()
        repartitioner = self._web.tasks.repartitioner
        if repartitioner is not None:
            yield from repartition_metrics(repartitioner.progress, self._named)
        yield from self._durations()
        applied = sum(entry.get("status") != "sending" for entry in self._web.history.data.values())
        yield from migration_metrics(self._web.migrating, applied, self._named)
        yield from watch_metrics(self._web.migrating.watched, self._named)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> CounterMetricFamily:
        return CounterMetricFamily(self._named(name), text, labels=labels)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._named(name), text, labels=labels)

    def _histogram(self, name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._named(name), text, buckets=histogram.buckets(), sum_value=histogram.sum)

    def _partitions(self) -> Iterator[Metric]:
        label = ("partition",)
        ticks = self._counter(
            "ticks_processed",
            "Records of the input by outcome. Stored with the position, so the count continues after a restart. "
            "The sum without `lost` is ticks_read_total.",
            ("partition", "outcome"),
        )
        read = self._counter("ticks_read", "Records read from the input, stored with the position.", label)
        corrected = self._counter(
            "corrected_ticks", "Late ticks that became part of a revision, stored with the position.", label
        )
        opened = self._gauge("windows_open_count", "Open windows.", label)
        longer = self._gauge("longer_windows_open_count", "Open windows of longer frames that hold a closed window.", label)
        correctable = self._gauge("windows_correctable_count", "Closed windows that late ticks can still revise.", label)
        lag = self._gauge(
            "watermark_lag_ms",
            "How far the most advanced watermark of the partition is behind the clock (ms). It grows while no ticks arrive.",
            label,
        )
        slowest = self._gauge(
            "watermark_lag_slowest_ms",
            "How far the least advanced watermark of the partition is behind the clock (ms): that of a broker whose feed has "
            "stopped, or whose market is closed.",
            label,
        )
        behind = self._gauge("consumer_lag_records", "Records of the input that have not been read yet.", label)
        unsaved = self._gauge(
            "checkpoint_lag_records", "Records read since the last checkpoint; they are read again after a crash.", label
        )
        violations = self._counter(
            "arrival_clock_violations",
            "Records whose arrival time the idle timer had already passed, since the assignment. If any: raise idle_margin.",
            label,
        )
        steps = self._counter(
            "arrival_clock_steps",
            "Times that arrival time was taken back by more than a minute: a clock had been ahead. Stored with the position.",
            label,
        )
        misplaced = self._counter(
            "misplaced_symbols",
            "Symbols that Kafka's default partitioner would have put into another partition, of those seen since the "
            "assignment; again where one trades again after a while. No fault where all producers place a symbol alike.",
            label,
        )
        wheel = self._gauge("wheel_entries_count", "Entries in the timing wheel.", label)
        now = time.time() * 1_000
        for number, task in sorted(self._web.running_tasks.items()):
            engine, name = task.engine, [str(number)]
            for outcome in OUTCOMES:
                ticks.add_metric([*name, outcome], getattr(engine.counters, outcome))
            read.add_metric(name, engine.counters.read)
            corrected.add_metric(name, engine.counters.corrected)
            opened.add_metric(name, engine.open_windows)
            after = engine.windows.after
            longer.add_metric(name, 0 if after is None or after.longer is None else after.longer.count)
            correctable.add_metric(name, 0 if after is None or after.corrections is None else after.corrections.kept.count)
            times = stream_time_bounds(engine)
            if times is not None:
                slowest.add_metric(name, now - times[0] + engine.config.grace)
                lag.add_metric(name, now - times[1] + engine.config.grace)
            end = self._web.high_watermark(number, task.consumed_to)
            if end is not None:
                behind.add_metric(name, end - task.consumed_to)
            unsaved.add_metric(name, task.consumed_to - task.checkpointed_to)
            violations.add_metric(name, engine.arrival_violations)
            steps.add_metric(name, engine.clock_steps)
            misplaced.add_metric(name, task.placed.misplaced)
            wheel.add_metric(name, engine.scheduler.wheel.size)
        yield from (ticks, read, corrected, opened, longer, correctable)
        yield from (lag, slowest, behind, unsaved, violations, steps, misplaced, wheel)

    def _worker(self) -> Iterator[Metric]:
        web, metrics = self._web, self._web.tasks.metrics
        bars = self._counter(
            "bars_emitted",
            "Final bars that the broker acknowledged since this worker started, by close reason.",
            ("reason",),
        )
        for reason in ("watermark", "idle"):
            bars.add_metric([reason], metrics.bars[reason])
        late = self._counter(
            "late_ticks_dropped",
            "Ticks that arrived after their window had closed, since this worker started. `expired`: later than corrections "
            "reach (late_policy=correct).",
            ("reason",),
        )
        longer = self._counter("longer_bars_emitted", "Final bars of longer frames, since this worker started.", ("frame",))
        revised = self._counter(
            "corrections_emitted", "Revised bars, since this worker started, by frame; `base`: of the window size.", ("frame",)
        )
        for frame, count in sorted(metrics.longer_bars.items()):
            longer.add_metric([frame], count)
        for frame, count in sorted(metrics.corrections.items()):
            revised.add_metric([frame or "base"], count)
        rejected = self._counter(
            "rejected_ticks", "Records that are not valid ticks, by reason, since this worker started.", ("reason",)
        )
        for reason in ("late", "expired"):
            late.add_metric([reason], metrics.side["late", reason])
        for (kind, reason), count in sorted(metrics.side.items()):
            if kind == "rejected":
                rejected.add_metric([reason], count)
        yield from (bars, longer, revised, late, rejected)
        ready = web.tasks.readiness()
        state = self._gauge("worker_state", "1 for the current state of the worker, 0 for the others.", ("state",))
        for name in STATES:
            state.add_metric([name], float(name == ready["state"]))
        yield state
        owned = self._gauge("partitions_owned_count", "Partitions that run on this worker.")
        owned.add_metric([], len(web.running_tasks))
        yield owned
        held_up = self._gauge("partitions_held_up_count", "Partitions of this worker that wait, for a leader most often.")
        held_up.add_metric([], len(ready.get("held_up", {})))
        yield held_up
        consumer = web.tasks.consumer
        silent = self._gauge(
            "broker_silent_seconds", "Time since the broker answered a fetch; absent if the worker runs no partition."
        )
        if consumer is not None and web.running_tasks:
            silent.add_metric([], consumer.silence())
        yield silent
        live = self._gauge("read_model_live", "1 if the local copy of the final bars has caught up with its topic.")
        live.add_metric([], float(web.read_model.progress.state is State.live))
        behind = self._gauge("read_model_behind_records", "Records that the local copy has not read yet.")
        behind.add_metric([], web.read_model.progress.behind)
        doubled = self._gauge(
            "doubled_bars_count",
            "Bars in the local copy whose key another partition had published before: one symbol lives in both.",
        )
        doubled.add_metric([], 0 if web.read_model.progress.doubled is None else web.read_model.progress.doubled.bars)
        streams = self._gauge("event_streams_open_count", "Open event streams.")
        streams.add_metric([], web.open_streams)
        requests = self._counter("web_requests", "Requests to the web port that were answered, by status.", ("status",))
        for status, count in sorted(web.responses.items()):
            requests.add_metric([status], count)
        yield from (live, behind, doubled, streams, requests)
        yield InfoMetricFamily(
            self._named("build"), "Version and app id.", value={"version": __version__, "app_id": web.settings.app_id}
        )

    def _durations(self) -> Iterator[Metric]:
        metrics = self._web.tasks.metrics
        yield self._histogram(
            "tick_to_bar_seconds",
            "From the arrival of the record that closed a window (for idle: the due time) to the acknowledgement of its bar.",
            metrics.arrival_to_bar,
        )
        yield self._histogram(
            "window_due_to_bar_seconds",
            "From the end of a window plus grace, in event time, to the acknowledgement of its bar. Large in a replay.",
            metrics.due_to_bar,
        )
        yield self._histogram("checkpoint_seconds", "Duration of the checkpoint of one partition.", metrics.checkpoint)
        yield self._histogram("recovery_seconds", "From an assignment until its partitions were ready.", metrics.recovery)
        yield self._histogram(
            "wheel_timer_lag_seconds", "How late the task ran that advances the timing wheels.", metrics.timer_lag
        )
