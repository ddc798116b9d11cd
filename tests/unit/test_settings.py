"""Settings: valid and invalid values, the one line of an error, and the README's table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.topics import specs
from app.errors import SettingsError
from app.kafka.cluster import client_options
from app.settings import Settings, unknown_variables
from app.settings.data_dir import folder_problem
from app.settings.durations import duration_ms, duration_text
from app.settings.outputs import output_topics
from app.settings.subjects import SUBJECTS
from app.settings.types import MigrateOnBoot

README = Path(__file__).parents[2] / "README.md"


pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.mark.parametrize(
    ("text", "ms"), [("5s", 5_000), ("200ms", 200), ("1m", 60_000), ("2h", 7_200_000), ("1d", 86_400_000), ("0.5s", 500)]
)
def test_a_duration_reads_a_number_and_a_unit(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
    assert duration_ms(duration_text(ms)) == ms


@pytest.mark.parametrize("text", ["banana", "5", "", "-5s", "1.5ms", "5 parsecs"])
def test_a_text_that_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|whole number"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("grace", "banana", "grace=banana: is not a duration"),
        ("window_size", "0s", "window_size=0s: must be longer than 0"),
        ("scope", "planet", "scope=planet: must be 'symbol', 'broker' or 'partition'"),
        ("price", "middle", "price=middle: must be"),
        ("broker", "kafka://nowhere", "broker=kafka://nowhere: must look like kafka://host:9092"),
        ("web_port", "99999", "web_port=99999"),
        ("topics_prefix", "a b", "topics_prefix=a b: may hold letters"),
        ("late_policy", "revise", "late_policy=revise: must be 'drop' or 'correct'"),
        ("frames", "5x", "frames=5x: '5x' is not a frame: write 5m, 1h or the like"),
        ("frames", "13h", "frames=13h: '13h' is longer than 12h"),
        ("frames", "90s,1h", "frames=90s,1h: frame 90s is no multiple of the base window of 60000 ms"),
        ("frames", "60m,1h", "comes twice"),
        ("day_zone", "Mars/Base", "day_zone=Mars/Base: is not a time zone"),
        ("day_start", "25:00", "day_start=25:00: is not a time of day"),
        ("week_start", "someday", "week_start=someday: is not a day of the week"),
        ("correction_delay", "soon", "correction_delay=soon: is not a duration"),
        ("ksqldb_url", "localhost:8088", "ksqldb_url=localhost:8088: must look like http://host:8088"),
        ("ksqldb_url", "http://host:banana", "must look like http://host:8088"),
        ("schema_registry_url", "http://", "schema_registry_url=http://: must look like"),
        ("ksqldb_user", "me", "ksqldb_user and ksqldb_password go together"),
        ("ksqldb_key_file", "key.pem", "ksqldb_key_file=key.pem is for a ksqldb_cert_file, which is empty"),
        ("ksqldb_headers", "x", "must look like `Name: value; Name: value`"),
        ("ksqldb_timeout", "0s", "ksqldb_timeout=0s"),
        ("schema_registry_user", "me", "schema_registry_user and schema_registry_password go together"),
        ("schema_registry_ca_file", "ca.pem", "schema_registry_ca_file=ca.pem is for a schema_registry_url that begins with"),
        ("ticks_format", "avro", "ticks_format=avro needs schemas: set schema_registry_url, or ticks_schema"),
        ("ticks_schema", "a.avsc", "ticks_schema=a.avsc is for ticks_format=avro or protobuf"),
        ("ticks_message", "x.Tick", "ticks_message=x.Tick is for ticks_format=protobuf"),
        ("schema_registry_url", "http://me:secret@host:8081", "must not hold a user"),
        ("ksqldb_ca_file", "ca.pem", "ksqldb_ca_file=ca.pem is for a ksqldb_url that begins with https://"),
        ("migrate_on_boot", "maybe", "migrate_on_boot=maybe: must be 'require', 'background' or 'off'"),
        ("idle_close", "maybe", "idle_close=maybe: must be 'on', 'off' or 'marker'"),
        ("ticks_format", "xml", "ticks_format=xml: must be 'json'"),
        ("ticks_fields", "bid=b", "ticks_fields=bid=b: ts is missing"),
        ("ticks_fields", "ts=t,ask=a", "price=bid needs bid: name its field in ticks_fields, as in bid=FIELD"),
        ("ticks_fields", "ts=t,bid=t", "ticks_fields=ts=t,bid=t: t is named twice"),
        ("ticks_fields", "ts=t,bid=t.b", "t is a field, and t.b is inside it"),
        ("ticks_fields", "ts=t,bid=b,broker='a|b'", "broker='a|b' holds a |"),
        ("ticks_key", "{name}", "ticks_key={name}: {name} is unknown"),
        ("ticks_zone", "Mars/Base", "ticks_zone=Mars/Base: there is no such time zone"),
        ("ticks_zone", "../etc/passwd", "there is no such time zone"),
        ("ticks_time_unit", "h", "ticks_time_unit=h: must be '', 's', 'ms', 'us' or 'ns'"),
        ("prices", "none", "prices=none: must be 'positive' or 'any'"),
        ("tls_check_hostname", "yes", "tls_check_hostname=yes: must be 'on' or 'off'"),
        ("tls_check_hostname", "1", "tls_check_hostname=1: must be 'on' or 'off'"),
        ("wheel_tick", "5ms", "wheel_tick=5ms: must lie between 10ms and 10s"),
        ("ticks_topic", "", "ticks_topic must not be empty"),
        ("app_id", "", "app_id=: may hold letters"),
        ("web_url", "worker:6066", "web_url=worker:6066: must look like http://host:6066, or be empty"),
        ("web_host", "0.0.0.0", "web_host=0.0.0.0: other machines can reach it: set web_token"),
        ("ksqldb_scale", "18", "ksqldb_precision=18 leaves less than 8 digits before the point of ksqldb_scale=18"),
        ("session_timeout", "91s", "session_timeout=91s: at most 90s"),
        ("session_timeout", "2m", "session_timeout=2m: at most 90s"),
        ("replication_factor", "0", "replication_factor=0: must lie between 1 and 32767, or be -1"),
        ("delivery", "twice", "must be 'idempotent' or 'transactional'"),
        ("compression", "gzip", "compression=gzip: must be 'none', 'snappy', 'lz4' or 'zstd'"),
        ("linger", "2s", "linger=2s: at most 1s: bars are later by it"),
        ("linger", "5", "linger=5: is not a duration"),
        ("fetch_min_bytes", "0", "fetch_min_bytes=0: must be greater than or equal to 1"),
        ("fetch_max_wait", "1ms", "fetch_max_wait=1ms: must lie between 10ms and 5s"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it_and_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"BARWHEEL_{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"security_protocol": "sasl_ssl"}, "security_protocol=sasl_ssl needs sasl_username and sasl_password"),
        ({"security_protocol": "sasl_ssl", "sasl_username": "me"}, "needs sasl_username and sasl_password"),
        ({"sasl_username": "me", "sasl_password": "open sesame"}, "security_protocol=plaintext sends no sasl_username"),
        ({"tls_ca_file": "ca.pem"}, "security_protocol=plaintext uses no tls_ca_file"),
        ({"security_protocol": "ssl", "tls_key_file": "me.key"}, "tls_key_file=me.key is the key of no tls_cert_file"),
    ],
)
def test_security_settings_that_do_not_go_together_are_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("BARWHEEL_BROKER", "kafka://broker.example:9093")
    for name, value in given.items():
        monkeypatch.setenv(f"BARWHEEL_{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_ca_file": "none.pem"}, "tls_ca_file=none.pem: not a file of PEM certificates"),
        ({"tls_cert_file": "none.pem"}, "tls_cert_file=none.pem, tls_key_file=: not a PEM certificate with its key"),
    ],
)
def test_a_certificate_that_cannot_be_read_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        client_options(Settings.load(broker="kafka://broker.example:9093", security_protocol="ssl", **given))
    assert said in str(raised.value)


@pytest.mark.parametrize("password", ["secret", "se/cret", "s@cret"])
def test_the_password_in_an_address_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("BARWHEEL_KSQLDB_URL", f"https://me:{password}@host:8088")
    with pytest.raises(SettingsError, match=r"ksqldb_url=https://\*\*\*@host:8088: must") as raised:
        Settings.load()
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False)])
def test_a_switch_reads_and_prints_on_and_off(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:  # noqa: FBT001  # the expected value
    monkeypatch.setenv("BARWHEEL_TLS_CHECK_HOSTNAME", text)
    settings = Settings.load()
    assert settings.tls_check_hostname is value
    assert settings.text_of("tls_check_hostname") == text


@pytest.mark.parametrize("text", ["background", "warn"])
def test_migrations_in_the_background_have_a_former_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BARWHEEL_MIGRATE_ON_BOOT", text)
    settings = Settings.load()
    assert settings.migrate_on_boot is MigrateOnBoot.background
    assert settings.text_of("migrate_on_boot") == "background"


def test_every_value_is_read_back_from_its_text() -> None:
    settings = Settings.load()
    texts = {name: settings.text_of(name) for name in Settings.model_fields if "password" not in name and name != "web_token"}
    assert Settings.load(**texts) == settings


def test_output_topics_have_the_prefix_and_the_input_has_not() -> None:
    settings = Settings.load(topics_prefix="x.", app_id="me", window_size="5m")
    assert settings.ticks_topic == "ticks"
    written = (settings.finals_topic, settings.late_topic, settings.rejected_topic, settings.changelog_topic)
    assert written == ("x.bar_5m_final", "x.ticks_late", "x.ticks_rejected", "x.me-windows-changelog")


@pytest.mark.parametrize("prefix", ["", "x.", "prod-", "ticks_"])
@pytest.mark.parametrize("size", ["1m", "5s"])
def test_the_input_cannot_be_a_topic_that_is_written_for_this_app(
    monkeypatch: pytest.MonkeyPatch, prefix: str, size: str
) -> None:
    settings = Settings.load(topics_prefix=prefix, app_id="me", window_size=size)
    written = {spec.name for spec in specs(settings, 1)} | {settings.history_topic}
    assert written == set(output_topics(settings))
    for topic in [*sorted(written), "__consumer_offsets", "__transaction_state"]:
        monkeypatch.setenv("BARWHEEL_TICKS_TOPIC", topic)
        with pytest.raises(SettingsError) as raised:
            Settings.load(topics_prefix=prefix, app_id="me", window_size=size)
        assert f"ticks_topic={topic} is where" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_day_that_begins_inside_a_base_window_is_refused_with_the_first_date() -> None:
    with pytest.raises(
        SettingsError, match=r"day_zone=Asia/Kolkata, day_start=00:00: on 1990-01-01 the day begins inside a window"
    ):
        Settings.load(window_size="1h", frames="4h", day_zone="Asia/Kolkata")
    assert Settings.load(window_size="30m", frames="4h", day_zone="Asia/Kolkata").frames == "4h"
    assert Settings.load(window_size="1h", day_zone="Asia/Kolkata").frames == "", "without longer bars it does not matter"


def test_frames_and_corrections_have_topics_of_their_own() -> None:
    settings = Settings.load(topics_prefix="x.", late_policy="correct", frames="1d, 5m")
    assert settings.frames == "5m,1d"
    assert set(settings.beyond_topics) == {
        *("x.bar_5m_final", "x.bar_1d_final"),
        *("x.bar_1m_corrections", "x.bar_5m_corrections", "x.bar_1d_corrections"),
    }
    assert not Settings.load().beyond_topics


def test_the_input_may_be_an_output_of_another_app() -> None:
    assert Settings.load(topics_prefix="mine.", ticks_topic="ticks_late").ticks_topic == "ticks_late"
    assert Settings.load(topics_prefix="", ticks_topic="mine.ticks_rejected").ticks_topic == "mine.ticks_rejected"


def test_an_environment_variable_that_is_not_a_setting_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARWHEEL_GRAEC", "5s")
    assert "BARWHEEL_GRAEC" in unknown_variables()
    assert "BARWHEEL_GRACE" not in unknown_variables()


def test_a_misspelt_name_in_the_env_file_is_reported() -> None:
    Path(".env").write_text("BARWHEEL_GRAEC=5s\nexport barwheel_grace=6s\nOTHER=1\n", encoding="utf-8-sig")
    assert [name for name in unknown_variables() if ".env" in name] == ["BARWHEEL_GRAEC (in .env)"]
    assert Settings.load().grace == 6_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("BARWHEEL_GRACE=7s".encode("utf-16"), r"\.env: byte 1 is not UTF-8"),
        ("BARWHEEL_APP_ID=B\xf6rse".encode("latin-1"), r"\.env: byte 18 is not UTF-8"),
        (b"BARWHEEL_GRACE='7s\n", r"\.env: line 1 \(BARWHEEL_GRACE\) cannot be read"),
        (b'BARWHEEL_PRICE=ask\nBARWHEEL_WEB_TOKEN="secret\n', r"\.env: line 2 \(BARWHEEL_WEB_TOKEN\) cannot be read"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_refused_and_not_ignored(content: bytes, said: str) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError, match=said) as raised:
        Settings.load()
    assert "secret" not in str(raised.value)


def test_a_folder_that_cannot_be_written_to_is_known_before_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert folder_problem(tmp_path / "new" / "deep") is None
    assert folder_problem(Path("relative")) is None
    assert "is no folder" in str(folder_problem(tmp_path / "file" / "below"))
    assert "is no folder" in str(folder_problem(tmp_path / "file"))
    assert not (tmp_path / "new").exists()


def test_a_folder_of_somebody_else_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may write anywhere
    assert folder_problem(tmp_path / "new") == f"{tmp_path} is not writable"


def test_the_readme_lists_every_setting_by_subject_with_its_default() -> None:
    text, settings = README.read_text(encoding="utf-8"), Settings.load()
    for name, field in Settings.model_fields.items():
        default = settings.text_of(name)
        shown = f"`{default}`".replace("|", r"\|") if default else "empty"  # a bar would end the cell
        assert f"| `{name}` | {shown} | {field.description} |" in text
    for subject, names in SUBJECTS.items():
        listed = text.partition(f"### {subject}\n")[2].partition("\n#")[0]
        assert [line.split("`")[1] for line in listed.splitlines() if line.startswith("| `")] == list(names), subject
