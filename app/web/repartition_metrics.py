"""The metrics of the agent that copies ticks by symbol, with `repartition=on`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agents.repartition_progress import RepartitionProgress


def repartition_metrics(progress: RepartitionProgress, named: Callable[[str], str]) -> Iterator[Metric]:
    """The current values; `named` gives the name of a metric."""
    copied = CounterMetricFamily(
        named("repartitioned_ticks"), "Records of a source that this worker has copied to the input topic.", labels=("topic",)
    )
    unplaced = CounterMetricFamily(
        named("repartitioned_unplaced"),
        "Those of them without a symbol: they are rejected when the input is read.",
        labels=("topic",),
    )
    for topic, count in sorted(progress.copied.items()):
        copied.add_metric([topic], count)
        unplaced.add_metric([topic], progress.unplaced[topic])
    lag = GaugeMetricFamily(
        named("repartition_lag_records"),
        "Records of a source that have still to be copied, of the partitions of this worker.",
        labels=("topic", "partition"),
    )
    for (topic, number), source in sorted(progress.sources.items()):
        lag.add_metric([topic, str(number)], source.lag)
    held_up = GaugeMetricFamily(named("repartition_held_up_count"), "Partitions of sources that wait, for a leader most often.")
    held_up.add_metric([], len(progress.held_up))
    yield from (copied, unplaced, lag, held_up)
