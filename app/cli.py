"""The console script `app`: Faust's own command line for this application, with readable errors."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from app.errors import BarwheelError
from app.stderr import fail

_VALUE_OPTIONS = frozenset(
    [
        "-A",
        "--app",
        "-W",
        "--workdir",
        "-D",
        "--datadir",
        "-L",
        "--loop",
        "-f",
        "--logfile",
        "--blocking-timeout",
        "--console-port",
    ]
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code; an error of ours is one line on stderr, never a traceback."""
    args = list(sys.argv[1:] if argv is None else argv)
    sys.argv[:] = [arg for arg in sys.argv if arg != "--apply"]  # Faust looks there, and takes it for its --app
    try:
        faust_app = importlib.import_module("app").app  # builds it, which reads the settings
        from faust.cli.faust import cli  # noqa: PLC0415 - after the settings: a bad one must not wait for imports

        cli.main(args=with_defaults(args), prog_name="app", app=faust_app)
    except BarwheelError as error:
        fail(error)
    raise SystemExit(0)


def with_defaults(args: Sequence[str]) -> list[str]:
    """Faust's worker logs warnings only, which looks like a hang: log what happens unless a level was given."""
    if command_of(args) != "worker" or any(a.startswith(("-l", "--loglevel")) for a in args):
        return list(args)
    return [*args, "-l", "info"]


def command_of(args: Sequence[str]) -> str | None:
    """The first word that is neither an option nor the value of one."""
    words = iter(args)
    for word in words:
        if word in _VALUE_OPTIONS or word in {"-l", "--loglevel"}:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None
