"""The command line around the commands: Ctrl-C before they begin, a full disk, a closed pipe, a locale without letters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.worker import ROOT


def outcome(body: str, stdout: int | None = None, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line with this in the place of a command."""
    code = f"import os, signal, sys\nfrom app import cli\ndef run(args):\n    {body}\ncli._run = run\ncli.main([])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    return found.returncode, found.stdout or "", found.stderr


def test_ctrl_c_before_a_command_begins_ends_without_a_traceback() -> None:
    assert outcome("os.kill(os.getpid(), signal.SIGINT)") == (128 + signal.SIGINT, "", "")


@pytest.mark.parametrize("body", ["print('x'); raise SystemExit(0)", "sys.stdout.write('x' * 100_000)"])
def test_a_full_disk_is_one_line(body: str) -> None:
    with Path("/dev/full").open("wb") as full:
        assert outcome(body, full.fileno()) == (1, "", "app: cannot write the result: No space left on device\n")


def test_a_reader_that_has_gone_is_no_error() -> None:
    nobody, written = os.pipe()
    os.close(nobody)
    try:
        assert outcome("print('x'); raise SystemExit(0)", written) == (0, "", "")
    finally:
        os.close(written)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_locale_does_not_have_is_escaped(encoding: str) -> None:
    assert outcome("print('A€B'); raise SystemExit(0)", PYTHONIOENCODING=encoding) == (0, "A\\u20acB\n", "")


def test_a_closed_output_is_no_traceback() -> None:
    assert outcome("sys.stdout = None; raise SystemExit(3)") == (3, "", "")


COMMAND = """
    from types import SimpleNamespace
    from app.commands import base
    async def command():
        {}
    base.BarwheelCommand.__call__(SimpleNamespace(run=command, args=(), kwargs={{}}))
"""
PRINTS = ["base.out('x' * {})", "base.out_json(['x' * {}])", "base.console().print('x' * {})"]


@pytest.mark.parametrize("prints", PRINTS)
def test_whatever_a_command_prints_a_full_disk_is_one_line(prints: str) -> None:
    with Path("/dev/full").open("wb") as full:
        found = outcome(COMMAND.format(prints.format(100_000)), full.fileno())
    assert found == (1, "", "app: cannot write the result: No space left on device\n")


@pytest.mark.parametrize("prints", PRINTS)
def test_whatever_a_command_prints_a_reader_that_has_gone_is_no_error(prints: str) -> None:
    nobody, written = os.pipe()
    os.close(nobody)
    try:
        assert outcome(COMMAND.format(prints.format(1)), written) == (0, "", "")
    finally:
        os.close(written)


@pytest.mark.parametrize("prints", PRINTS)
def test_whatever_a_command_prints_a_closed_output_is_one_line_and_an_error(prints: str) -> None:
    code, _, said = outcome("sys.stdout = None" + COMMAND.format(prints.format(1)))
    assert (code, said) == (1, "app: cannot write the result: standard output is closed\n")


def test_a_message_without_anywhere_to_go_is_no_traceback() -> None:
    code, _, said = outcome("sys.stderr = None\n    from app.errors import InputError; raise InputError('wrong')")
    assert (code, said) == (2, "")
