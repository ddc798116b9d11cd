"""What `app.commands.faust_cli` relies on in Faust's command line, and the names of the console scripts."""

from __future__ import annotations

import re
from importlib.metadata import version

import click
import pytest
from faust.cli.base import _Group
from faust.cli.faust import cli

from app.cli import program
from app.commands import faust_cli
from app.commands.completion import script
from app.errors import InputError


def test_the_module_names_the_faust_version_that_is_installed() -> None:
    assert faust_cli.__doc__ is not None
    assert f"faust-streaming {version('faust-streaming')}," in faust_cli.__doc__


def test_fausts_command_line_is_one_group_with_the_commands_that_are_adapted() -> None:
    assert isinstance(cli, _Group)
    assert issubclass(_Group, click.Group)
    assert set(faust_cli.UNUSED) | set(faust_cli.HELP_OF) <= set(cli.commands)
    assert "version" in {param.name for param in cli.params}


def test_no_command_is_in_two_groups_or_in_a_group_and_unused() -> None:
    grouped = [name for names in faust_cli.GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert not set(grouped) & set(faust_cli.UNUSED)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/venv/bin/barwheel", "barwheel"),
        ("barwheel.exe", "barwheel"),
        ("/venv/bin/app", "app"),
        ("/src/app/__main__.py", "app"),
        ("-c", "app"),
    ],
)
def test_usage_lines_have_the_name_of_the_script_that_was_called(path: str, name: str) -> None:
    assert program(path) == name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_asks_the_program_that_it_is_for(shell: str) -> None:
    text = script("barwheel", shell)
    assert f"_BARWHEEL_COMPLETE={shell}_complete" in text
    assert not re.search(r"\bapp\b", text)


@pytest.mark.parametrize("shell", ["ksh", ""])
def test_a_shell_that_cannot_complete_is_refused(shell: str) -> None:
    with pytest.raises(InputError, match="must be bash, zsh, fish"):
        script("app", shell)
