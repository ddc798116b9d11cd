"""What `app doctor --fix` does: it creates missing topics, and sets configs of those that this app writes. Nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from agents.topics import TopicsReport, ensure, look
from app.errors import TopicsError
from app.kafka.alter import alter_topic
from app.kafka.cluster import Cluster
from app.kafka.topics import topic_admin
from app.settings import Settings


@dataclass(frozen=True)
class Fix:
    """One change. `config`: `name=value` to be set; empty: the topic is created."""

    topic: str
    config: str = ""

    def __str__(self) -> str:
        """The change as an order."""
        return f"set {self.config} on topic {self.topic}" if self.config else f"create topic {self.topic}"


def fixes_of(report: TopicsReport | None) -> list[Fix]:
    """The safe changes that the findings about topics ask for."""
    findings = [] if report is None else report.findings
    return [Fix(finding.topic, finding.config) for finding in findings if finding.missing or finding.config]


async def apply(settings: Settings, cluster: Cluster, fixes: Iterable[Fix]) -> list[str]:
    """Make these changes; returns what was done, a line each. Raises `BrokerError` where the broker refuses one."""
    done, missing = [], set[str]()
    async with topic_admin(cluster) as client:
        for fix in fixes:
            if not fix.config:
                missing.add(fix.topic)
                continue
            name, _, value = fix.config.partition("=")
            await alter_topic(client, fix.topic, {name: value})
            done.append(f"topic {fix.topic}: {fix.config} is set")
    if missing:
        with contextlib.suppress(TopicsError):  # of a topic that cannot be mended here: the findings name it
            await ensure(settings, cluster)
        present = (await look(settings, cluster)).states
        done += [f"topic {topic} is created" for topic in sorted(missing & present.keys())]
    return done
