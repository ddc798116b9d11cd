"""`python -m tests.support.parsed_commands`: command lines of `app`, parsed and not run.

Reads a JSON list of lists of words; writes what is wrong with each of them, null if nothing is. A process of its own,
because our commands are added to the one command line that Faust has in a process.
"""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import click

from tests.support.worker import ROOT


def mistakes(lines: Sequence[Sequence[str]]) -> list[str | None]:
    """What click says of each command line; None if it would run."""
    given = json.dumps([list(words) for words in lines])
    command = [sys.executable, "-m", "tests.support.parsed_commands"]
    done = subprocess.run(command, input=given, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    found: list[str | None] = json.loads(done.stdout)
    return found


def _mistake(group: click.Group, words: list[str]) -> str | None:
    """Words in capitals or brackets stand for arguments: of such a line the command and its options are looked up alone."""
    try:
        with redirect_stdout(io.StringIO()):  # what --help prints
            context = group.make_context("app", list(words))
            name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        if any(word.strip("[].").isupper() for word in rest):
            known = {text for param in command.params for text in (*param.opts, *param.secondary_opts)}
            unknown = [word for word in rest if word.startswith("-") and word not in known]
            return f"no such option: {', '.join(unknown)}" if unknown else None
        with redirect_stdout(io.StringIO()):
            command.make_context(name, rest)
    except click.exceptions.Exit:
        return None  # --help
    except click.UsageError as error:
        return error.format_message()
    return None


def main() -> None:
    """See the module."""
    _ = importlib.import_module("app").app  # adds our commands
    from faust.cli.faust import cli  # noqa: PLC0415 - as `app.cli` does

    json.dump([_mistake(cli, words) for words in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
