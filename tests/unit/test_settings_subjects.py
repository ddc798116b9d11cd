"""`.env.example` and the settings by subject in the docs are made from the code."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from app.settings import Settings
from app.settings.subjects import DEFAULTS, FIRST, SUBJECTS, env_example

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("no_settings")


def test_every_setting_has_one_subject() -> None:
    found = Counter(name for names in SUBJECTS.values() for name in names)
    assert set(found) == set(Settings.model_fields)
    assert set(found.values()) == {1}
    assert len(FIRST) == 6
    assert set(FIRST) <= set(found)


def test_the_example_file_is_made_from_the_code() -> None:
    assert (ROOT / ".env.example").read_text() == env_example(), "python -m app.settings.subjects > .env.example"


def test_the_example_file_can_be_used_as_it_is_with_every_line_in_force(tmp_path: Path) -> None:
    text = re.sub(r"^#(BARWHEEL_)", r"\1", env_example(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(text)
    assert text.count("\nBARWHEEL_") == len(Settings.model_fields)
    settings = Settings.load()
    for name in Settings.model_fields:
        assert settings.text_of(name) == DEFAULTS.text_of(name), name


def test_the_docs_list_the_settings_of_each_subject() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for subject, names in SUBJECTS.items():
        assert f"| {subject} | {', '.join(f'`{name}`' for name in names)} |" in text
    first = text.partition("## By subject")[0]
    assert [name for name in FIRST if f"| `{name}` |" not in first] == []
