"""The workflows fit GitHub's schema, run what exists, and get no more rights than they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())
SCHEMA = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]


def jobs_of(workflow: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return jobs


def steps() -> list[dict[str, Any]]:
    return [step for workflow in WORKFLOWS for job in jobs_of(workflow).values() for step in job["steps"]]


def test_the_workflows_fit_the_schema() -> None:
    assert {workflow.name for workflow in WORKFLOWS} == {"tests.yml", "wheels.yml"}
    checked = subprocess.run([*SCHEMA, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_refuses_a_misspelt_key(tmp_path: Path) -> None:
    spoilt = tmp_path / "tests.yml"
    spoilt.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert subprocess.run([*SCHEMA, spoilt], capture_output=True, check=False).returncode == 1


def test_they_run_the_checks_of_this_repository() -> None:
    commands = [step["run"] for step in steps() if "run" in step]
    assert ".ci/run" in commands
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in commands:
        words = command.split()
        assert words[1] in targets if words[0] == "make" else os.access(ROOT / words[0], os.X_OK), command


def test_every_action_has_a_version_and_every_job_an_end() -> None:
    for step in steps():
        assert "run" in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", step["uses"]), step
    for workflow in WORKFLOWS:
        assert all(job["timeout-minutes"] <= 90 for job in jobs_of(workflow).values())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_they_may_only_read_and_name_no_host(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    assert "://" not in workflow.read_text()
