"""What `app.commands.faust_cli` relies on in Faust's command line, and the names of the console scripts."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.utils import make_default_short_help
from faust.cli.base import _Group
from faust.cli.faust import cli

from app.application import faust_app
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
    assert {*faust_cli.UNUSED, *faust_cli.UNCHANGED, "send", "completion"} <= set(cli.commands)
    assert "version" in {param.name for param in cli.params}


def test_no_command_is_in_two_groups_or_in_a_group_and_unused() -> None:
    grouped = [name for texts in faust_cli.GROUPS.values() for name in texts]
    assert len(grouped) == len(set(grouped))
    assert not set(grouped) & set(faust_cli.UNUSED)


@pytest.mark.parametrize("name", sorted(faust_cli.SUMMARIES))
def test_help_says_of_each_command_what_its_own_help_says_first(name: str) -> None:
    faust_app()  # which adapts the command line
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert make_default_short_help(command.help or "", 200) == faust_cli.SUMMARIES[name]


def test_help_and_a_command_import_no_other_command_and_nothing_that_only_a_worker_needs() -> None:
    """Each of these takes a tenth of a second or more, or megabytes of a worker's memory."""
    large = {"app.web.server", "app.ksqldb.boot", "httpx", "openapi_pydantic", "google.protobuf"}
    assert not _imported_by("--help") & {*large, *(f"app.commands.{name}" for name in faust_cli.SUMMARIES)}
    found = _imported_by("topics", "--help")
    assert "app.commands.topics" in found
    assert not found & {*large, *(f"app.commands.{name}" for name in faust_cli.SUMMARIES if name != "topics")}


def _imported_by(*arguments: str) -> set[str]:
    """The modules that a command has imported at its end."""
    program = (
        "import sys, atexit; from app.cli import main; "
        "atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.stderr)); main(sys.argv[1:])"
    )
    found = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(found.stderr.split())


def test_what_is_said_of_the_workers_options_is_about_options_that_it_has() -> None:
    assert set(faust_cli.WORKER_OPTIONS) <= {param.name for param in cli.commands["worker"].params}


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
