"""Looks which sources there are: topics that a pattern finds may be created, and any may be deleted and created again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from agents.sources import find_sources, judge_sources
from app.kafka.bootstrap import patient_admin
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of
from app.kafka.identity import Identities, identify
from app.kafka.topics import wait_for_topics
from app.settings import Settings

WATCH_SECONDS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """The sources that can be read, with their numbers of partitions, and what the broker tells of their ids."""

    topics: dict[str, int]
    ids: Identities


class SourceWatch:
    """Remembers what was found last."""

    def __init__(self, settings: Settings) -> None:
        self.found_any = True  # until the first look
        self._settings = settings
        self._due = 0.0  # by the monotonic clock
        self._judged: dict[str, bool] = {}  # whether a topic can be read

    async def look_if_due(self, cluster: Cluster) -> Found | None:
        """What there is now; None where that was asked lately, or is not known. Aiokafka's errors are logged."""
        if time.monotonic() < self._due:
            return None
        try:
            async with patient_admin(cluster) as client:
                present = await find_sources(client, self._settings)
                for name in self._judged.keys() - present.keys():
                    log.warning("source %s: the topic is gone", name)
                    del self._judged[name]
                if new := present.keys() - self._judged.keys():
                    states = await wait_for_topics(client, sorted(new))
                    wrong = {finding.topic: str(finding) for finding in judge_sources(self._settings, states) if finding.fatal}
                    for name in sorted(new):
                        self._judged[name] = name not in wrong
                        if name in wrong:
                            log.error("%s; it is not read", wrong[name])
                ids = await identify(client, sorted(present))
        except (KafkaError, OSError) as error:
            log.info("the sources are not known (%s): asking again", reason_of(error))
            self._due = time.monotonic() + 1.0
            return None
        self._due = time.monotonic() + WATCH_SECONDS
        topics = {name: count for name, count in present.items() if self._judged[name]}
        self.found_any = bool(topics)
        return Found(topics, ids)
