"""Secrets that files hold: read in place of variables, refused in one line, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, unknown_variables
from app.settings.settings import SECRETS

PASSWORD = "correct horse"


pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_secret_is_read_from_the_file_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str) -> None:
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    if place == ".env":
        Path(".env").write_text(f"barwheel_web_token_file={tmp_path / 'secret'}\n")
    else:
        monkeypatch.setenv("BARWHEEL_WEB_TOKEN_FILE", str(tmp_path / "secret"))
    settings = Settings.load()
    assert settings.web_token.get_secret_value() == PASSWORD
    assert settings.source_of("web_token") == "file"
    assert "horse" not in settings.text_of("web_token")
    assert unknown_variables() == []


def test_every_secret_can_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {"sasl_password", "oauth_client_secret", "web_token", "ksqldb_password", "schema_registry_password"} <= SECRETS
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "headers").write_text("X-Key: correct horse")
    for name in SECRETS:
        file = tmp_path / ("headers" if name == "ksqldb_headers" else "secret")
        monkeypatch.setenv(f"BARWHEEL_{name.upper()}_FILE", str(file))
    assert unknown_variables() == []
    users = {"sasl_username": "me", "ksqldb_user": "me", "schema_registry_user": "me", "schema_registry_url": "http://a:1"}
    oauth = {"oauth_token_url": "http://a:1", "oauth_client_id": "me"}
    sasl = {"broker": "a:1", "security_protocol": "sasl_plaintext"}
    with pytest.raises(SettingsError, match="uses no oauth_ settings"):
        Settings.load(**users, **oauth, **sasl)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file or directory"),
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe", "the file is not UTF-8"),
    ],
)
def test_a_file_without_a_secret_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("BARWHEEL_SASL_PASSWORD_FILE", str(path))
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert str(raised.value) == f"BARWHEEL_SASL_PASSWORD_FILE={path}: {said}"
    assert raised.value.exit_code == 2


def test_a_secret_that_is_given_twice_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("another")
    monkeypatch.setenv("BARWHEEL_WEB_TOKEN_FILE", str(tmp_path / "secret"))
    Path(".env").write_text(f"BARWHEEL_WEB_TOKEN={PASSWORD}\n")
    with pytest.raises(SettingsError, match="BARWHEEL_WEB_TOKEN is set, too: set one of them") as raised:
        Settings.load()
    assert "horse" not in str(raised.value)


def test_an_empty_variable_of_the_environment_hides_a_file_of_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("BARWHEEL_SASL_PASSWORD_FILE=/none\n")
    monkeypatch.setenv("BARWHEEL_SASL_PASSWORD", "")
    assert Settings.load().sasl_password.get_secret_value() == ""


def test_only_secrets_can_be_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARWHEEL_GRACE_FILE", "grace")
    assert unknown_variables() == ["BARWHEEL_GRACE_FILE"]
