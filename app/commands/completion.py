"""`app completion`: the script that makes a shell complete commands and options. Replaces Faust's, which needs a package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import get_completion_class
from faust.cli.base import argument, cli

from app.commands import base
from app.errors import InputError

if TYPE_CHECKING:
    import faust

PROGRAMS = ("app", "barwheel")  # [project.scripts] in pyproject.toml
SHELLS = ("bash", "zsh", "fish")


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(argument("shell", required=False, metavar="[bash|zsh|fish]"), base=base.BarwheelCommand)
    async def completion(self: base.BarwheelCommand, *, shell: str | None) -> int:
        """Print the completion script of a shell; the default is $SHELL.

        \b
        Example:
          eval "$(app completion bash)"
          app completion fish > ~/.config/fish/completions/app.fish
        """  # noqa: D301 - click reads \b
        name = self.prog_name if self.prog_name in PROGRAMS else PROGRAMS[0]
        base.out(script(name, shell or Path(os.environ.get("SHELL", "")).name))
        return 0


def script(program: str, shell: str) -> str:
    """The script for a program and a shell; raises `InputError` for a shell that click does not know."""
    if shell not in SHELLS or (found := get_completion_class(shell)) is None:
        raise InputError(f"completion {shell or '(no $SHELL)'}: must be {', '.join(SHELLS)}")
    return found(cli, {}, program, f"_{program.upper()}_COMPLETE").source()
