"""What `app doctor --fix` may do: each finding about a topic says its risk, and only topics of ours are changed."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any

import pytest

from agents.topics import input_spec, judge, specs
from app.kafka.topics import DEFAULT_MAX_MESSAGE_BYTES, TopicState
from app.operations.fixes import Fix, fixes_of
from app.pocket.incremental import APPEND, DELETE, SET, SUBTRACT, changed
from app.settings import Settings

DEFAULTS = {"cleanup.policy": "delete", "retention.ms": "1"}


def states(settings: Settings, **changes: str) -> dict[str, TopicState]:
    """All topics as they must be, with these configs on each."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    read = input_spec(settings)
    largest = int(read.configs.get("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES))
    wanted = [read, *specs(settings, settings.topic_partitions, largest)]
    return {spec.name: TopicState(spec.partitions, {**spec.configs, **named}) for spec in wanted}


@pytest.mark.parametrize("repartition", [False, True])
def test_topics_as_they_must_be_have_no_finding_and_no_fix(*, repartition: bool) -> None:
    settings = Settings.load(repartition=repartition, late_policy="correct", frames="5m")
    found = states(settings)
    if repartition:
        found[settings.ticks_topic] = TopicState(1, {"message.timestamp.type": "LogAppendTime"})
    report = judge(settings, found, [])
    assert report.findings == []
    assert fixes_of(report) == []


CHANGES = [
    {"cleanup__policy": "delete"},
    {"cleanup__policy": "compact"},
    {"cleanup__policy": "compact,delete"},
    {"message__timestamp__type": "CreateTime"},
    {"message__timestamp__type": "LogAppendTime"},
    {"max__message__bytes": "1000"},
]


@pytest.mark.parametrize(("changes", "repartition"), [*product(CHANGES, [False, True])])
def test_every_finding_says_its_risk_and_its_fix_makes_it_go_away(changes: dict[str, str], *, repartition: bool) -> None:
    settings = Settings.load(repartition=repartition)
    found = states(settings, **changes)
    if repartition:
        found[settings.ticks_topic] = TopicState(1, {name.replace("__", "."): value for name, value in changes.items()})
    report = judge(settings, found, [])
    assert report.findings
    assert all(finding.risk for finding in report.findings)
    after = report
    for _ in range(2):  # where the input takes larger records, the side topics must take larger ones, too
        for fix in fixes_of(after):
            assert fix.topic != settings.ticks_topic
            name, _, value = fix.config.partition("=")
            found[fix.topic] = dataclasses.replace(found[fix.topic], configs={**found[fix.topic].configs, name: value})
        after = judge(settings, found, [])
    assert fixes_of(after) == []
    assert {finding.topic for finding in after.findings} <= {settings.ticks_topic, settings.input_topic}


def test_missing_topics_are_created_and_wrong_partitions_are_left_alone() -> None:
    settings = Settings.load()
    report = judge(settings, {}, [])
    assert all(finding.risk for finding in report.findings)
    wanted = {settings.ticks_topic, *(spec.name for spec in specs(settings, 1))}
    assert set(fixes_of(report)) == {Fix(topic) for topic in wanted}
    found = states(settings)
    found[settings.finals_topic] = dataclasses.replace(found[settings.finals_topic], partitions=3)
    report = judge(settings, found, [])
    assert [finding.fatal for finding in report.findings] == [True]
    assert fixes_of(report) == []


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ([("retention.ms", SET, "5")], {"cleanup.policy": "compact", "retention.ms": "5"}),
        ([("cleanup.policy", DELETE, None)], {}),
        ([("cleanup.policy", APPEND, "delete")], {"cleanup.policy": "compact,delete"}),
        ([("cleanup.policy", APPEND, "compact")], {"cleanup.policy": "compact"}),
        ([("cleanup.policy", SUBTRACT, "compact")], {"cleanup.policy": ""}),
        ([("retention.ms", APPEND, "5")], None),
        ([("retention.ms", SET, None)], None),
        ([("retention.ms", SET, "5"), ("retention.ms", DELETE, None)], None),
        ([("retention.ms", 4, "5")], None),
    ],
)
def test_configs_are_changed_one_by_one(changes: list[tuple[str, int, str | None]], after: dict[str, str] | None) -> None:
    asked: list[dict[str, Any]] = [
        {"name": name, "config_operation": operation, "value": value} for name, operation, value in changes
    ]
    assert changed({"cleanup.policy": "compact"}, DEFAULTS, asked) == after
