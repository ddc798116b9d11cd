"""Metadata, and the requests of an admin client on topics and their configs."""

from __future__ import annotations

from app.pocket.data import OUT_OF_RANGE, by_topic
from app.pocket.groups import LONGEST_SESSION_MS, SHORTEST_SESSION_MS
from app.pocket.incremental import TOPIC_RESOURCE, changed
from app.pocket.metadata import FLEXIBLE_FROM
from app.pocket.topics import (
    DEFAULTS,
    INVALID_CONFIG,
    INVALID_PARTITIONS,
    INVALID_REPLICATION,
    STORAGE,
    TOO_MANY_FILES,
    TOPIC_EXISTS,
    UNKNOWN_TOPIC,
    Topics,
    valid_configs,
)
from app.pocket.wire import Body

NODE = 1
NOT_ASKED = -(1 << 31)  # authorized operations, which nobody has asked for
INVALID_REQUEST = 42
BROKER_CONFIGS = {
    "group.min.session.timeout.ms": str(SHORTEST_SESSION_MS),
    "group.max.session.timeout.ms": str(LONGEST_SESSION_MS),
}
MESSAGES = {
    INVALID_CONFIG: "a config is unknown, or has a value that it cannot have",
    INVALID_REQUEST: "a config is named twice, lacks a value, or is no list",
    INVALID_PARTITIONS: "more partitions than there are now, and at least one, must be asked for",
    INVALID_REPLICATION: "there is one broker, so there can be one replica",
    STORAGE: "its files cannot be made: the broker's log says why",
    TOO_MANY_FILES: "so many partitions need more open files than the broker may have (ulimit -n)",
    TOPIC_EXISTS: "the topic exists already",
    UNKNOWN_TOPIC: "there is no such topic",
}


class Admin:
    """Handlers of Metadata and of the requests of an admin client."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.host, self.port, self.cluster = "", 0, "pocket"

    def metadata(self, request: Body) -> Body:
        """Metadata (key 3). It never creates a topic, because that topic would have the wrong cleanup policy."""
        names, version = request["topics"], request["_version"]
        named = bool(names) if version == 0 else names is not None
        if not named:
            names = self._topics.names()
        elif version >= FLEXIBLE_FROM:
            names = [topic["topic"] for topic in names]
        rows = []
        for name in names:
            logs = self._topics.logs(name)
            parts = [
                {"partition": n, "leader": NODE, "leader_epoch": log.leader_epochs.latest, "replicas": [NODE], "isr": [NODE]}
                for n, log in enumerate(logs or ())
            ]
            row = {"error_code": 0 if logs else UNKNOWN_TOPIC, "topic": name, "partitions": parts}
            rows.append(row | {"topic_id": self._topics.id_of(name), "topic_authorized_operations": NOT_ASKED})
        broker = {"node_id": NODE, "host": self.host, "port": self.port, "rack": None}
        answer = {"brokers": [broker], "cluster_id": self.cluster, "controller_id": NODE, "topics": rows}
        return answer | {"cluster_authorized_operations": NOT_ASKED}

    def create_topics(self, request: Body) -> Body:
        """CreateTopics (key 19)."""
        rows = []
        for wanted in request["create_topic_requests"]:
            name = wanted["topic"]
            configs = {c["config_key"]: c["config_value"] for c in wanted["configs"] or []}
            count = wanted["num_partitions"] if not wanted["replica_assignment"] else len(wanted["replica_assignment"])
            error = INVALID_PARTITIONS if count == 0 else INVALID_REPLICATION if wanted["replication_factor"] > 1 else 0
            if not error and request.get("validate_only"):
                error = TOPIC_EXISTS if self._topics.logs(name) is not None else 0
            elif not error:
                error = self._topics.create(name, count, configs)
            rows.append({"topic": name, "error_code": error, "error_message": MESSAGES.get(error)})
        return {"topic_errors": rows}

    def delete_topics(self, request: Body) -> Body:
        """DeleteTopics (key 20)."""
        return {"topic_error_codes": [{"topic": name, "error_code": self._topics.delete(name)} for name in request["topics"]]}

    def delete_records(self, request: Body) -> Body:
        """DeleteRecords (key 21): deletes the records before an offset; -1 deletes all."""
        rows = []
        for topic in request["topics"]:
            for part in topic["partitions"]:
                number, offset = part["partition_index"], part["offset"]
                log = self._topics.find(topic["name"], number)
                error = UNKNOWN_TOPIC if log is None else OUT_OF_RANGE if offset > log.end else 0
                if log is not None and not error:
                    self._topics.trim(log, log.end if offset < 0 else offset)
                low = log.start if log is not None else -1
                rows.append((topic["name"], {"partition_index": number, "low_watermark": low, "error_code": error}))
        return {"topics": by_topic(rows)}

    def create_partitions(self, request: Body) -> Body:
        """CreatePartitions (key 37)."""
        rows = []
        for topic in request["topic_partitions"]:
            wanted = topic["new_partitions"]
            count = wanted["count"] if isinstance(wanted, dict) else wanted[0]
            error = self._topics.grow(topic["topic"], count)
            rows.append({"topic": topic["topic"], "error_code": error, "error_message": MESSAGES.get(error)})
        return {"topic_errors": rows}

    def describe_configs(self, request: Body) -> Body:
        """DescribeConfigs (key 32)."""
        rows = []
        for resource in request["resources"]:
            name, is_topic = resource["resource_name"], resource["resource_type"] == TOPIC_RESOURCE
            known = not is_topic or self._topics.logs(name) is not None
            own = self._topics.own_configs(name) if is_topic and known else {}
            wanted = resource["config_names"]
            entries: list[Body] = [
                {
                    "config_names": key,
                    "config_value": value,
                    "read_only": False,
                    "is_default": key not in own,
                    "config_source": 1 if key in own else 5,
                    "is_sensitive": False,
                    "config_synonyms": [],
                }
                for key, value in {**(DEFAULTS if is_topic else BROKER_CONFIGS), **own}.items()
                if known and (not wanted or key in wanted)
            ]
            about = {"resource_type": resource["resource_type"], "resource_name": name, "config_entries": entries}
            rows.append(about | {"error_code": 0 if known else UNKNOWN_TOPIC, "error_message": None})
        return {"resources": rows}

    def describe_log_dirs(self, request: Body) -> Body:
        """DescribeLogDirs (key 35): the bytes of partitions; of all of them if none is named."""
        named = request["topics"]
        if named is None:
            named = [{"topic": name, "partitions": None} for name in self._topics.names()]
        rows = []
        for topic in named:
            for number, log in enumerate(self._topics.logs(topic["topic"]) or ()):
                if topic["partitions"] is None or number in topic["partitions"]:
                    about = {"partition_index": number, "partition_size": log.size, "offset_lag": 0, "is_future_key": False}
                    rows.append((topic["topic"], about))
        return {"results": [{"error_code": 0, "log_dir": str(self._topics.folder), "topics": by_topic(rows)}]}

    def alter_some_configs(self, request: Body) -> Body:
        """IncrementalAlterConfigs (key 44): changes the named configs of a topic."""
        rows = []
        for resource in request["resources"]:
            name, error = resource["resource_name"], INVALID_REQUEST
            if resource["resource_type"] == TOPIC_RESOURCE and self._topics.logs(name) is None:
                error = UNKNOWN_TOPIC
            elif resource["resource_type"] == TOPIC_RESOURCE:
                configs = changed(self._topics.own_configs(name), DEFAULTS, resource["configs"])
                if configs is not None and request["validate_only"]:
                    error = 0 if valid_configs(configs) else INVALID_CONFIG
                elif configs is not None:
                    error = self._topics.configure(name, configs)
            about = {"resource_type": resource["resource_type"], "resource_name": name}
            rows.append(about | {"error_code": error, "error_message": MESSAGES.get(error)})
        return {"responses": rows}

    def alter_configs(self, request: Body) -> Body:
        """AlterConfigs (key 33): replaces all configs of a topic."""
        rows = []
        for resource in request["resources"]:
            error = 0
            if resource["resource_type"] == TOPIC_RESOURCE:
                entries = resource["config_entries"]
                configs = {c.get("config_name") or c.get("config_key"): c["config_value"] for c in entries}
                error = self._topics.configure(resource["resource_name"], configs)
            about = {"resource_type": resource["resource_type"], "resource_name": resource["resource_name"]}
            rows.append(about | {"error_code": error, "error_message": MESSAGES.get(error)})
        return {"resources": rows}
