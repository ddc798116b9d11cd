"""Four names of metrics are the same under every namespace; all others begin with it."""

from __future__ import annotations

from collections import Counter

import pytest

from agents.repartition_progress import RepartitionProgress, SourceProgress
from app.web.metric_names import FIXED, naming
from app.web.repartition_metrics import repartition_metrics


@pytest.mark.parametrize("namespace", ["barwheel", "feed_7"])
def test_every_name_but_four_begins_with_the_namespace(namespace: str) -> None:
    named = naming(namespace)
    assert named("worker_state") == f"{namespace}_worker_state"
    assert {named(name) for name in FIXED} == FIXED
    progress = RepartitionProgress(sources={("a", 0): SourceProgress(1, 2)}, copied=Counter({"a": 1}))
    assert all(metric.name.startswith(f"{namespace}_") for metric in repartition_metrics(progress, named))


def test_without_a_namespace_every_name_is_as_it_is() -> None:
    assert naming("")("worker_state") == "worker_state"
