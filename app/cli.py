"""The console scripts `app` and `barwheel`: Faust's command line for this application, with errors in one line."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.errors import BarwheelError
from app.stderr import cannot_write, discard_output, fail

# Faust's options before the command that take a value
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
    """Run one command and exit with its code; a `BarwheelError` is one line on stderr, not a traceback."""
    signal.signal(signal.SIGINT, _interrupted)
    _escape_unprintable()
    try:
        _run(list(sys.argv[1:] if argv is None else argv))
    except BarwheelError as error:
        fail(error)
    except SystemExit:
        _flush()
        raise
    except BrokenPipeError:  # `app --help | head`: the reader has enough
        discard_output()
    except OSError as error:
        cannot_write(error)
    raise SystemExit(0)


def _run(args: list[str]) -> NoReturn:
    sys.argv[:] = [arg for arg in sys.argv if arg != "--apply"]  # Faust reads sys.argv and takes --apply for its --app
    faust_app = importlib.import_module("app").app  # builds the app, which reads the settings
    from faust.cli.faust import cli  # noqa: PLC0415 - after the settings, so that an invalid one is reported at once

    cli.main(args=with_defaults(args), prog_name=program(sys.argv[0]), app=faust_app)
    raise SystemExit(0)


def _interrupted(number: int, _: FrameType | None) -> NoReturn:
    """Ctrl-C before a command has begun: there is nothing to finish, and an exception could be lost in an import."""
    os._exit(128 + number)  # as a shell reports it


def _escape_unprintable() -> None:
    """Write characters that the locale does not have as escapes. Names may hold any character, and the locale may be C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in {"utf-8", "utf8"}:
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Write what is buffered, here, where a full disk and a closed pipe can be reported."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        cannot_write(error)


def program(path: str) -> str:
    """The name for usage lines: the script's own, or `app` for `python -m app`."""
    return "barwheel" if Path(path).stem == "barwheel" else "app"


def with_defaults(args: Sequence[str]) -> list[str]:
    """The arguments, with log level info for the worker unless one is given. Faust's default, WARN, looks like a hang."""
    if command_of(args) != "worker" or any(a.startswith(("-l", "--loglevel")) for a in args):
        return list(args)
    return [*args, "-l", "info"]


def command_of(args: Sequence[str]) -> str | None:
    """The first argument that is neither an option nor an option's value; None if there is none."""
    words = iter(args)
    for word in words:
        if word in _VALUE_OPTIONS or word in {"-l", "--loglevel"}:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None
