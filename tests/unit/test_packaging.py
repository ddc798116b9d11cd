"""What packages, images and compose are made of: well formed, pinned, and in step with the settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from app.commands.completion import PROGRAMS
from app.settings import PREFIX, Settings
from app.settings.settings import SECRETS
from tests.support import kafka_docker, kafka_node

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PINNED_IMAGE = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+([.-][a-z0-9.-]+)?")


class _Strict(BaseModel):
    """Unknown keys are refused: a misspelt one would be ignored nowhere but here."""

    model_config = ConfigDict(extra="forbid")


class Dependency(_Strict):
    condition: str = Field(pattern="^service_(started|healthy|completed_successfully)$")


class Healthcheck(_Strict):
    test: list[str] = Field(min_length=2)
    interval: str = Field(pattern=r"^\d+s$")
    timeout: str = Field(pattern=r"^\d+s$")
    retries: int = Field(ge=1)
    start_period: str = Field("0s", pattern=r"^\d+s$")


class Service(_Strict):
    image: str
    build: str | None = None
    restart: str | None = None
    stop_grace_period: str | None = None
    depends_on: dict[str, Dependency] = {}
    environment: dict[str, str] = {}  # text only: YAML turns a bare number or `on` into something else
    ports: list[str] = []
    volumes: list[str] = []
    secrets: list[str] = []
    profiles: list[str] = []
    command: list[str] = []
    healthcheck: Healthcheck | None = None


class Secret(_Strict):
    file: str


class Compose(_Strict):
    name: str
    services: dict[str, Service]
    secrets: dict[str, Secret] = {}
    volumes: dict[str, None] = {}


def compose() -> Compose:
    raw: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return Compose.model_validate({k: v for k, v in raw.items() if not k.startswith("x-")}, strict=True)


def dockerfile() -> list[str]:
    return [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]


def test_compose_has_kafka_and_two_workers_of_the_image_that_the_dockerfile_builds() -> None:
    services = compose().services
    workers = [service for name, service in services.items() if name.startswith("worker")]
    assert len(workers) == 2
    assert {worker.image for worker in workers} == {"barwheel:0.1.0"}
    assert all(worker.build == "." for worker in workers)
    assert services["kafka"].image.startswith("apache/kafka:")


def test_compose_names_only_services_and_volumes_that_exist() -> None:
    described = compose()
    for service in described.services.values():
        assert set(service.depends_on) <= set(described.services)
        assert set(service.secrets) <= set(described.secrets)
        for volume in service.volumes:
            source = volume.partition(":")[0]
            assert source in described.volumes or (ROOT / source).is_dir(), volume
        for name, dependency in service.depends_on.items():
            if dependency.condition == "service_healthy":
                assert described.services[name].healthcheck is not None


def test_compose_sets_only_settings_that_exist_and_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    described = compose()
    ours = [service for service in described.services.values() if service.image.startswith("barwheel:")]
    assert len(ours) == 3
    for service in ours:
        for variable, value in service.environment.items():
            assert variable.startswith(PREFIX)
            name = variable.removeprefix(PREFIX).lower()
            assert name in Settings.model_fields or name.removesuffix("_file") in SECRETS
            mounted = Path(value).name if name.endswith("_file") else ""
            assert not mounted or mounted in service.secrets
            monkeypatch.setenv(variable, str(ROOT / described.secrets[mounted].file) if mounted else value)
        settings = Settings.load()
        assert settings.bootstrap == "kafka:9092"
        assert settings.app_id == "barwheel"
        assert settings.web_token.get_secret_value() == (ROOT / described.secrets["web_token"].file).read_text()


def test_prometheus_shows_the_token_that_the_workers_ask_for() -> None:
    services = compose().services
    assert "web_token" in services["prometheus"].secrets
    assert all("web_token" in service.secrets for name, service in services.items() if name.startswith("worker"))


def test_page_kafka_and_ksqldb_are_published_on_this_host_only() -> None:
    published = [port.split(":") for service in compose().services.values() for port in service.ports]
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert {"6066", "29092", "8088"} <= {inner for _, _, inner in published}
    assert len({outer for _, outer, _ in published}) == len(published)


def test_the_profile_demo_feeds_ticks_with_a_command_that_exists() -> None:
    feeding = [service for service in compose().services.values() if service.profiles == ["demo"]]
    assert [service.command[:2] for service in feeding] == [["demo", "--feed"]]


def test_every_image_is_pinned_to_a_release() -> None:
    images = [service.image for service in compose().services.values()]
    images += [line.split()[1] for line in dockerfile() if line.startswith("FROM ")]
    images.append(kafka_docker.IMAGE)
    assert len(images) >= 5
    for image in images:
        assert PINNED_IMAGE.fullmatch(image), image


def test_tests_and_compose_run_the_same_kafka_release_line() -> None:
    composed = compose().services["kafka"].image
    assert composed == kafka_docker.IMAGE
    assert composed.rpartition(":")[2].split(".")[:2] == kafka_node.VERSION.split(".")[:2]


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    # one random id in 64 would begin with a dash
    ids = {kafka_node.new_cluster_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{21}", one) for one in ids)


def test_the_image_installs_by_hash_and_runs_the_worker_without_root() -> None:
    text = "\n".join(dockerfile())
    assert "--require-hashes -r requirements.lock" in text
    assert 'ENTRYPOINT ["app"]' in text, "docker run IMAGE doctor runs a command"
    assert 'CMD ["worker", "--loglevel", "info"]' in text
    user = [line.split()[1] for line in dockerfile() if line.startswith("USER ")]
    assert user
    assert user[-1] not in {"root", "0"}


def test_the_image_holds_every_package_and_the_build_context_lets_it_in() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    copied = {line.split()[1] for line in dockerfile() if line.startswith("COPY ") and len(line.split()) == 3}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert packages <= copied
    assert packages <= allowed
    from_context = [line for line in dockerfile() if line.startswith("COPY ") and not line.startswith("COPY --from=")]
    sources = {word for line in from_context for word in line.split()[1:-1]}
    assert sources <= allowed


@pytest.mark.parametrize("name", LOCKS)
def test_lock_files_pin_by_hash_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted-host)", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    pinned = [block for block in blocks if block and not block.startswith(("#", " "))]
    assert len(pinned) > 30
    for block in pinned:
        assert re.match(r"[a-z0-9._-]+==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_lock_files_agree_and_hold_every_declared_dependency() -> None:
    runtime, dev = (_pins(name) for name in LOCKS)
    assert runtime.items() <= dev.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert _names([*project["dependencies"], *extras["build"]]) <= runtime.keys()
    assert _names(extras["dev"]) <= dev.keys()


def test_both_console_scripts_are_the_same_program() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == dict.fromkeys(PROGRAMS, "app.cli:main")


def test_versions_agree() -> None:
    import app  # noqa: PLC0415 - only its version is wanted

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == app.__version__
    assert f"barwheel:{app.__version__}" in {s.image for s in compose().services.values()}


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_docker_itself_accepts_the_compose_file() -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("docker's compose plugin is not installed")
    checked = subprocess.run(
        ["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split()[0].split("==") for line in lines if line[:1].isalnum())


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ;]", requirement)[0].lower() for requirement in requirements}
