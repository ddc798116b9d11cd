"""The settings by subject, and `.env.example` made of them: `python -m app.settings.subjects > .env.example`."""

from __future__ import annotations

import re
import sys

from app.settings.settings import PREFIX, SECRETS, Settings

FIRST = ("broker", "ticks_topic", "ticks_fields", "window_size", "grace", "web_host")  # what people touch first
SUBJECTS: dict[str, tuple[str, ...]] = {
    "Kafka": ("broker", "app_id", "topics_prefix", "topic_partitions", "replication_factor", "data_dir", "pocket_port"),
    "Ticks": (
        *("ticks_topic", "repartition", "ticks_format", "ticks_schema", "ticks_message", "ticks_fields", "ticks_key"),
        *("ticks_zone", "ticks_time_unit", "time_unit", "price", "prices", "max_future", "min_ts", "start", "on_gap"),
    ),
    "Windows": ("window_size", "grace", "scope", "idle_close", "idle_margin", "wheel_tick"),
    "Late ticks and longer bars": (
        *("late_policy", "correction_horizon", "correction_delay", "frames", "empty", "empty_frames"),
        *("day_zone", "day_start", "week_start"),
    ),
    "Bars": ("bars_format", "bars_scale", "bars_register", "delivery", "checkpoint_interval", "read_model_bars"),
    "Membership, bytes and speed": (
        *("consumer_group_instance_id", "session_timeout", "native"),
        *("compression", "linger", "fetch_min_bytes", "fetch_max_wait"),
    ),
    "Security": (
        *("security_protocol", "sasl_mechanism", "sasl_username", "sasl_password"),
        *("oauth_token_url", "oauth_client_id", "oauth_client_secret", "oauth_scope", "oauth_ca_file", "aws_region"),
        *("tls_ca_file", "tls_cert_file", "tls_key_file", "tls_key_password", "tls_check_hostname"),
    ),
    "Page, API and metrics": (*("web_host", "web_port", "web_url", "web_auth", "web_token", "web_hosts", "metrics_namespace"),),
    "ksqlDB": (
        *("ksqldb_url", "ksqldb_user", "ksqldb_password", "ksqldb_ca_file", "ksqldb_cert_file", "ksqldb_key_file"),
        *("ksqldb_headers", "ksqldb_timeout", "ksqldb_retry_for", "ksqldb_backoff", "ksqldb_precision", "ksqldb_scale"),
        "migrate_on_boot",
    ),
    "Schema Registry": (
        *("schema_registry_url", "schema_registry_user", "schema_registry_password", "schema_registry_ca_file"),
    ),
}
DEFAULTS = Settings.model_construct()
HEAD = """\
# Every setting with its default; made by `python -m app.settings.subjects`. Copy it to .env, and take # from what you change.
# docs/settings.md explains them. A secret can be in a file: {prefix}SASL_PASSWORD_FILE=/run/secrets/kafka
"""


def env_example() -> str:
    """The text of `.env.example`: every setting as a comment, those that people touch first at the beginning."""
    parts = [HEAD.format(prefix=PREFIX), _part("What people touch first", FIRST)]
    for subject, names in SUBJECTS.items():
        parts.append(_part(subject, tuple(name for name in names if name not in FIRST)))
    return "\n".join(parts)


def _part(subject: str, names: tuple[str, ...]) -> str:
    lines = [f"# ---- {subject}"]
    for name in names:
        field = Settings.model_fields[name]
        text = re.sub(r"`([^`]*)`", r"\1", field.description or "")
        default = "" if name in SECRETS else DEFAULTS.text_of(name)
        lines += ["", f"# {text}", f"#{PREFIX}{name.upper()}={_quoted(default)}"]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return f"'{value}'" if re.search(r"[{}|# ]", value) else value


if __name__ == "__main__":
    sys.stdout.write(env_example())
