"""The names of the metrics: `metrics_namespace` begins them, except four that every version has shown as they are."""

from __future__ import annotations

from collections.abc import Callable

# Without Prometheus' suffix. Dashboards of all versions ask for them.
FIXED = frozenset({"bars_emitted", "late_ticks_dropped", "windows_open_count", "watermark_lag_ms"})


def naming(namespace: str) -> Callable[[str], str]:
    """The name of a metric under a namespace; empty: as it is."""
    prefix = f"{namespace}_" if namespace else ""
    return lambda name: name if name in FIXED else prefix + name
