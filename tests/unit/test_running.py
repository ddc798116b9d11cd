"""Kubernetes manifests and the systemd unit: valid, and in step with settings, image, alerts and exit codes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.errors import BarwheelError, SettingsError, StateError, TopicsError
from app.settings import PREFIX, Settings
from app.settings.settings import SECRETS

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
UNIT = ROOT / "deploy" / "systemd" / "barwheel.service"
OPERATOR = {"ServiceMonitor": {"selector", "endpoints"}, "PrometheusRule": {"groups"}}  # the Prometheus Operator's kinds
OLDEST, NEWEST = "1.29", "1.37"


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((KUBERNETES / name).read_text())
    return found


def kustomization() -> dict[str, Any]:
    return document("kustomization.yaml")


def manifests() -> list[str]:
    return sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")


def worker() -> dict[str, Any]:
    (found,) = document("statefulset.yaml")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def variables() -> dict[str, str]:
    """What a pod's worker gets, of the generated ConfigMap and of the StatefulSet."""
    (generated,) = kustomization()["configMapGenerator"]
    given = dict(literal.split("=", 1) for literal in generated["literals"])
    return given | {one["name"]: one["value"] for one in worker()["env"] if "value" in one}


def test_the_kustomization_has_every_manifest() -> None:
    assert sorted(kustomization()["resources"]) == manifests()


@pytest.mark.parametrize("name", manifests())
def test_a_manifest_fits_its_schema_and_a_misspelt_field_does_not(name: str) -> None:
    manifest = document(name)
    if manifest["kind"] in OPERATOR:
        assert manifest["apiVersion"] == "monitoring.coreos.com/v1"
        assert manifest["spec"].keys() == OPERATOR[manifest["kind"]]
        return
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(manifest, version, strict=True)
    manifest["metadata"]["nmae"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)


def test_all_select_the_same_pods() -> None:
    label = {"app.kubernetes.io/name": "barwheel"}
    stateful = document("statefulset.yaml")["spec"]
    assert stateful["selector"]["matchLabels"] == stateful["template"]["metadata"]["labels"] == label
    assert document("service.yaml")["spec"]["selector"] == document("service.yaml")["metadata"]["labels"] == label
    for name in ("poddisruptionbudget.yaml", "servicemonitor.yaml"):
        assert document(name)["spec"]["selector"]["matchLabels"] == label
    assert stateful["serviceName"] == document("service.yaml")["metadata"]["name"]
    (endpoint,) = document("servicemonitor.yaml")["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in document("service.yaml")["spec"]["ports"]}


def test_pods_set_only_settings_that_exist_and_are_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    monkeypatch.chdir(tmp_path)
    for variable, value in variables().items():
        name = variable.removeprefix(PREFIX).lower()
        assert name in Settings.model_fields or name.removesuffix("_file") in SECRETS, variable
        shown = str(tmp_path / "token") if name.endswith("_file") else value
        monkeypatch.setenv(variable, shown.replace("$(POD_NAME)", "barwheel-0").replace("$(POD_NAMESPACE)", "barwheel"))
    settings = Settings.load()
    assert settings.consumer_group_instance_id == "barwheel-0"
    assert settings.web_url == "http://barwheel-0.barwheel.barwheel.svc:6066"
    assert settings.web_token.get_secret_value() == "secret"


def test_a_pod_writes_into_volumes_only_and_its_probes_ask_its_web_port() -> None:
    one = worker()
    assert one["securityContext"]["readOnlyRootFilesystem"] is True
    mounted = {volume["mountPath"] for volume in one["volumeMounts"]}
    assert any(Path(path) in Path(variables()["BARWHEEL_DATA_DIR"]).parents for path in mounted)
    assert str(Path(variables()["BARWHEEL_WEB_TOKEN_FILE"]).parent) in mounted
    paths = {probe: one[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {found["path"] for found in paths.values()} == {"/healthz", "/readyz"}
    assert paths["readinessProbe"]["path"] == "/readyz"
    assert all(found["port"] == one["ports"][0]["name"] for found in paths.values())
    user = document("statefulset.yaml")["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"--uid {user}" in (ROOT / "Dockerfile").read_text()


def test_the_alerts_are_those_of_prometheus() -> None:
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    assert document("prometheusrule.yaml")["spec"] == alerts, (
        "write the groups of alerts.yml below spec, two columns to the right"
    )


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_kustomization() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] not in OPERATOR]
    for manifest in built:
        kubernetes_validate.validate(manifest, NEWEST, strict=True)
    (stateful,) = [one for one in built if one["kind"] == "StatefulSet"]
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    (settings,) = [one["metadata"]["name"] for one in built if one["kind"] == "ConfigMap"]
    assert container["envFrom"] == [{"configMapRef": {"name": settings}}]
    assert re.fullmatch(r"barwheel:\d+\.\d+\.\d+", container["image"])


def test_systemd_does_not_start_again_what_would_end_in_the_same_way() -> None:
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith("RestartPreventExitStatus=")]
    codes = {int(code) for code in line.partition("=")[2].split()}
    assert codes == {SettingsError("").exit_code, TopicsError("").exit_code, StateError("").exit_code}
    assert BarwheelError("").exit_code not in codes


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_and_refuses_a_misspelt_one(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    installed = UNIT.read_text().replace("/opt/barwheel/bin/app", sys.executable)
    for text, taken in ((installed, True), (installed.replace("Restart=always", "Restart=sometimes"), False)):
        unit.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (said == []) is taken, done.stderr
