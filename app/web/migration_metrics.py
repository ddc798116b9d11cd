"""The metrics of migrations, and of the queries in ksqlDB that they have created."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from agents.metrics import LONG, Histogram
from app.ksqldb.migrating import Migrating
from app.ksqldb.watched import Watched


def migration_metrics(migrating: Migrating, applied: int, named: Callable[[str], str]) -> Iterator[Metric]:
    """The current values; `named` gives the name of a metric, `applied` counts the statements of the history.

    The counters have two names: one is older, and both are asked for.
    """
    counted = (
        ("migrations_applied", "applied_migrations", "KSQL statements in the history, whoever applied them.", applied),
        (
            "migrations_skipped",
            "skipped_migrations",
            "KSQL statements that were already applied at this worker's start.",
            migrating.skipped,
        ),
        (
            "migrations_failures",
            "failed_migrations",
            "Attempts of this worker to apply the plan that have failed.",
            migrating.failures,
        ),
    )
    for *names, text, value in counted:
        for name in names:
            counter = CounterMetricFamily(named(str(name)), str(text))
            counter.add_metric([], float(value))
            yield counter
    failed = GaugeMetricFamily(named("migrations_failed"), "1 while the migrations at this worker's start fail.")
    failed.add_metric([], float(migrating.state == "failed"))
    yield failed
    took = Histogram([bound * 1_000 for bound in LONG])
    for entry in migrating.applied:
        took.add(entry.duration_ms)
    text = "Duration of a statement in ksqlDB (ms)."
    yield HistogramMetricFamily(named("ksql_apply_latency_ms"), text, buckets=took.buckets(), sum_value=took.sum)


def watch_metrics(watched: Watched, named: Callable[[str], str]) -> Iterator[Metric]:
    """The current values of what was created; without ksqlDB, all are zero."""
    rows = (
        ("ksqldb_away", "1 while ksqlDB cannot be asked for its queries.", float(watched.up is False)),
        (
            "ksqldb_queries_stopped_count",
            "Queries of the history that should run and do not.",
            sum(query.stopped for query in watched.queries),
        ),
        (
            "ksqldb_query_errors_count",
            "Errors that ksqlDB keeps of these queries.",
            sum(query.errors for query in watched.queries),
        ),
        ("ksqldb_processing_log_records", "Records of ksqlDB's processing log.", watched.log_records),
        (
            "ksqldb_lag_records_max",
            "Records that the slowest of these queries has still to read.",
            max((query.lag or 0 for query in watched.queries if not query.put_aside), default=0),
        ),
    )
    for name, text, value in rows:
        gauge = GaugeMetricFamily(named(name), text)
        gauge.add_metric([], value)
        yield gauge
    lag = GaugeMetricFamily(
        named("ksqldb_lag_records"), "Records that the query of a stream or table has still to read.", labels=("name",)
    )
    for name, records in {query.writes: query.lag for query in watched.queries if query.lag is not None}.items():
        lag.add_metric([name], records)
    yield lag
    of_sources: tuple[tuple[str, str, Mapping[str, float | None]], ...] = (
        (
            "ksqldb_source_records_per_second",
            "Offsets a second that were added to the topic of a stream or table, since the look before.",
            {source.name: source.rate for source in watched.sources},
        ),
        (
            "ksqldb_source_lag_records",
            "Records of a stream or table that the slowest query which reads from it has still to read.",
            {source.name: source.lag for source in watched.sources},
        ),
        (
            "ksqldb_source_bytes",
            "Size of the topic of a stream or table, without the copies of its replicas.",
            {source.name: source.size for source in watched.sources},
        ),
    )
    for name, text, values in of_sources:
        of_source = GaugeMetricFamily(named(name), text, labels=("name",))
        for source_name, number in values.items():
            if number is not None:
                of_source.add_metric([source_name], float(number))
        yield of_source
