"""Topics with their configuration and their logs, and the committed offsets and generations of groups."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
import uuid
from pathlib import Path
from typing import Any

from app.pocket.journal import Journal
from app.pocket.log import PartitionLog
from app.pocket.metadata import UUID_BYTES

DEFAULTS = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.compaction.lag.ms": "0",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "1073741824",
}
# topic configs of Apache Kafka that are accepted and shown, but have no effect here
IGNORED_CONFIGS = frozenset(
    {
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.zstd.level",
        "delete.retention.ms",
        "file.delete.delay.ms",
        "flush.messages",
        "flush.ms",
        "follower.replication.throttled.replicas",
        "index.interval.bytes",
        "leader.replication.throttled.replicas",
        "max.compaction.lag.ms",
        "message.downconversion.enable",
        "message.format.version",
        "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms",
        "message.timestamp.difference.max.ms",
        "min.cleanable.dirty.ratio",
        "preallocate",
        "segment.index.bytes",
        "segment.jitter.ms",
        "segment.ms",
        "unclean.leader.election.enable",
    }
)
UNKNOWN_TOPIC, INVALID_TOPIC, TOPIC_EXISTS, INVALID_PARTITIONS, INVALID_REPLICATION, INVALID_CONFIG = 3, 17, 36, 37, 38, 40
TOO_MANY_FILES = 44  # POLICY_VIOLATION
STORAGE = 56
MAX_NAME = 230  # Kafka allows 249; here topic, its id and the partition make the name of a file
SPARE_FILES = 256  # open files besides those of the logs: above all connections
logger = logging.getLogger("pocket")


class Topics:
    """Everything that the broker stores, in files and in the journal."""

    def __init__(self, folder: Path, journal: Journal, default_partitions: int) -> None:
        self.folder = folder
        self._journal = journal
        self._default_partitions = default_partitions
        self._rows: dict[str, dict[str, Any]] = journal.table("topic")
        self._leader_epoch = self._begin_leader_epoch()
        self._logs: dict[str, list[PartitionLog]] = {}
        self.waiting: dict[tuple[str, int], set[asyncio.Future[None]]] = {}  # fetches that wait for records, by partition
        for name, row in self._rows.items():
            self._logs[name] = [self._open(row["id"], name, number) for number in range(row["partitions"])]

    def _begin_leader_epoch(self) -> int:
        """Count the starts of this broker: what an earlier one appended may have been lost when it was killed.

        The count is in the journal, because the batches with the last epoch may be lost as well. A broker that did not count
        wrote the epoch 0.
        """
        before = self._journal.table("leader").get("epoch", 0 if self._rows else -1)
        self._journal.put("leader", "epoch", before + 1)
        return int(before) + 1

    def close(self) -> None:
        """Close all logs."""
        for logs in self._logs.values():
            for log in logs:
                log.close()

    def names(self) -> list[str]:
        """The names of all topics, sorted."""
        return sorted(self._logs)

    def logs(self, name: str) -> list[PartitionLog] | None:
        """The logs of a topic's partitions, in order; None if there is no such topic."""
        return self._logs.get(name)

    def find(self, name: str, partition: int) -> PartitionLog | None:
        """The log of a partition; None if there is no such partition."""
        logs = self._logs.get(name)
        return logs[partition] if logs is not None and 0 <= partition < len(logs) else None

    def id_of(self, name: str) -> bytes | None:
        """The 16 bytes of a topic's id, which a topic of the same name that is created later does not have."""
        row = self._rows.get(name)
        return None if row is None else bytes.fromhex(row["id"]).rjust(UUID_BYTES, b"\0")

    def own_configs(self, name: str) -> dict[str, str]:
        """The configs of a topic that were set explicitly."""
        configs: dict[str, str] = self._rows[name]["configs"]
        return configs

    def config(self, name: str, key: str) -> str:
        """The value of a topic's config, set explicitly or by default."""
        return self.own_configs(name).get(key, DEFAULTS[key])

    # ---- changes

    def create(self, name: str, partitions: int, configs: dict[str, str]) -> int:
        """Create a topic; returns an error code, 0 for success."""
        valid_name = (
            0 < len(name) <= MAX_NAME
            and name not in (".", "..")
            and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
        )
        if not valid_name:
            return INVALID_TOPIC
        if name in self._rows:
            return TOPIC_EXISTS
        if not valid_configs(configs):
            return INVALID_CONFIG
        count = partitions if partitions > 0 else self._default_partitions
        row: dict[str, Any] = {"id": uuid.uuid4().hex[:12], "partitions": count, "configs": configs}
        return self._add(name, row, range(count))

    def _add(self, name: str, row: dict[str, Any], numbers: range) -> int:
        """Create the files of new partitions and store the topic. Returns an error code; after an error no file is left."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        wanted = sum(map(len, self._logs.values())) + len(numbers) + SPARE_FILES
        if allowed != resource.RLIM_INFINITY and wanted > allowed:
            logger.error("%s: its partitions need %d open files, the limit (ulimit -n) is %d", name, wanted, allowed)
            return TOO_MANY_FILES
        logs: list[PartitionLog] = []
        try:
            for number in numbers:
                logs.append(self._open(row["id"], name, number))  # noqa: PERF401  # if one fails, those before it must be deleted
            self._journal.put("topic", name, row)
        except OSError as error:
            logger.error("%s: its partitions cannot be made: %s", name, error)  # noqa: TRY400  # a full disk needs no traceback
            for log in logs:
                log.close()
                log.path.unlink()
            return STORAGE
        self._logs.setdefault(name, []).extend(logs)
        return 0

    def delete(self, name: str) -> int:
        """Delete a topic, its logs and its committed offsets; returns an error code."""
        if name not in self._rows:
            return UNKNOWN_TOPIC
        self._journal.put("topic", name, None)
        for number, log in enumerate(self._logs.pop(name)):
            log.close()
            log.path.unlink()
            self._journal.put("start", log.path.stem, None)
            self.wake(name, number)
        for key in [k for k in self._journal.table("offset") if k.split("\0")[1] == name]:
            self._journal.put("offset", key, None)
        return 0

    def grow(self, name: str, count: int) -> int:
        """Add partitions, up to `count`; returns an error code."""
        logs = self._logs.get(name)
        if logs is None:
            return UNKNOWN_TOPIC
        if count <= len(logs):
            return INVALID_PARTITIONS
        return self._add(name, self._rows[name] | {"partitions": count}, range(len(logs), count))

    def configure(self, name: str, configs: dict[str, str]) -> int:
        """Replace all configs of a topic; returns an error code."""
        if name not in self._rows:
            return UNKNOWN_TOPIC
        if not valid_configs(configs):
            return INVALID_CONFIG
        self._journal.put("topic", name, self._rows[name] | {"configs": configs})
        return 0

    def trim(self, log: PartitionLog, offset: int) -> None:
        """Delete the records of a log before an offset."""
        self._journal.put("start", log.path.stem, max(log.start, min(offset, log.end)))
        log.trim(offset)

    def _open(self, topic_id: str, name: str, number: int) -> PartitionLog:
        # the id is in the name, so that a topic that is created again does not find the records of the deleted one
        path = self.folder / f"{name}-{topic_id}-{number}.log"
        return PartitionLog(path, self._leader_epoch, start=self._journal.table("start").get(path.stem, 0))

    # ---- offsets

    def commit(self, group: str, topic: str, partition: int, offset: int, metadata: str) -> None:
        """Store a group's offset of a partition."""
        self._journal.put("offset", f"{group}\0{topic}\0{partition}", [offset, metadata])

    def committed(self, group: str) -> dict[tuple[str, int], tuple[int, str]]:
        """The offset and metadata of every partition that a group has committed."""
        offsets = {}
        for key, (offset, metadata) in self._journal.table("offset").items():
            name, topic, partition = key.split("\0")
            if name == group:
                offsets[topic, int(partition)] = (offset, metadata)
        return offsets

    def groups(self) -> set[str]:
        """Groups that have committed an offset."""
        return {key.split("\0")[0] for key in self._journal.table("offset")}

    def generation(self, group: str) -> int:
        """The last generation of a group, 0 for a new one."""
        return int(self._journal.table("generation").get(group, 0))

    def keep_generation(self, group: str, generation: int) -> None:
        """Store the generation of a group."""
        self._journal.put("generation", group, generation)

    def forget_group(self, group: str) -> None:
        """Delete a group's offsets and its generation."""
        self._journal.put("generation", group, None)
        for key in [k for k in self._journal.table("offset") if k.split("\0")[0] == group]:
            self._journal.put("offset", key, None)

    # ---- waiting and housekeeping

    def wake(self, topic: str, partition: int) -> None:
        """Wake the fetches that wait for this partition."""
        for future in self.waiting.pop((topic, partition), ()):
            if not future.done():
                future.set_result(None)

    def expire(self) -> None:
        """Apply `retention.ms` by the timestamps of the records, as Kafka does.

        A replay of old records is deleted soon, unless the topic has LogAppendTime.
        """
        now = int(time.time() * 1_000)
        for name, logs in self._logs.items():
            retention = int(self.config(name, "retention.ms"))
            if "delete" in self.config(name, "cleanup.policy") and retention >= 0:
                for log in logs:
                    offset = log.expired_until(now - retention)
                    if offset > log.start:
                        self.trim(log, offset)

    def compact(self) -> None:
        """Compact the logs of compacted topics that have new records. Those younger than `min.compaction.lag.ms` stay."""
        now = int(time.time() * 1_000)
        for name, logs in self._logs.items():
            if "compact" in self.config(name, "cleanup.policy"):
                lag = int(self.config(name, "min.compaction.lag.ms"))
                for log in logs:
                    log.compact(now - lag if lag else None)


def valid_configs(configs: dict[str, str]) -> bool:
    """Whether all names are topic configs, and the values of those with an effect are valid."""
    if not configs.keys() <= DEFAULTS.keys() | IGNORED_CONFIGS:
        return False
    policy = configs.get("cleanup.policy", "delete").split(",")
    timestamp_type = configs.get("message.timestamp.type", "CreateTime")
    numbers = (configs.get(key, "0") for key in ("retention.ms", "max.message.bytes", "min.compaction.lag.ms"))
    try:
        [int(number) for number in numbers]
    except ValueError:
        return False
    return set(policy) <= {"compact", "delete"} and timestamp_type in ("CreateTime", "LogAppendTime")
