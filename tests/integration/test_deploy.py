"""The dashboard and the alert rules ask only for what a running worker shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, heartbeat, produce
from tests.support.worker import ROOT

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "barwheel.json"
T0 = 1_399_248_000_000
NOT_OURS = {"up"}  # Prometheus' own
WORDS = {"by", "le", "sum", "max", "rate", "increase", "and", "or", "on", "offset"}


def expressions() -> list[str]:
    """All that is asked of Prometheus."""
    alerts: dict[str, Any] = yaml.safe_load(ALERTS.read_text())
    dashboard = json.loads(DASHBOARD.read_text())
    found = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in an expression: what is left without labels, ranges, groupings and functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(by|without)\s*\([^)]*\)|\b\d[\d.e]*[smhdw]?", " ", expression)
    return {name for name in re.findall(r"[a-z_][a-z0-9_]*(?!\s*\()\b", bare) if not re.search(rf"\b{name}\s*\(", bare)} - WORDS


def test_the_names_are_found_in_expressions() -> None:
    assert metrics_of('histogram_quantile(0.99, sum by (le) (rate(a_bucket{x="y"}[5m]))) > 2') == {"a_bucket"}
    assert metrics_of("sum(d) > (max_over_time(sum(max by (p) (d))[7d:5m] offset 10m) or vector(0))") == {"d"}
    assert metrics_of("sum(rate(b_total[1m])) > 0.01 * sum(rate(c_total[1m]))") == {"b_total", "c_total"}


def test_every_metric_that_is_asked_for_is_shown_by_a_running_worker(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1").start()
    ticks = [Tick(T0), heartbeat(T0 + 66_000), Tick(T0 + 1_000), Tick(value=b"{", key=b"A|x")]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    worker.wait_read(len(ticks))
    asked = set().union(*(metrics_of(expression) for expression in expressions())) - NOT_OURS
    assert len(asked) > 20

    def shown() -> set[str]:
        return {re.split(r"[{ ]", line)[0] for line in worker.text("/metrics").splitlines() if not line.startswith("#")}

    worker.wait(lambda: asked <= shown(), f"it shows {sorted(asked - shown())}")


def test_panels_and_alerts_say_what_they_are_about() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert all(panel["title"] and panel["description"] for panel in dashboard["panels"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
