"""Messages on stderr before logging is set up, and the exit with the code of an error."""

from __future__ import annotations

import sys
from typing import NoReturn

from app.errors import BarwheelError
from app.plain import plain


def say(text: str) -> None:
    """Print one line, `app: <text>`; Faust would swallow a log record at this point."""
    sys.stderr.write(f"app: {plain(text)}\n")
    sys.stderr.flush()


def fail(error: BarwheelError) -> NoReturn:
    """Print the error in one line and exit with the code of its class."""
    say(str(error))
    raise SystemExit(error.exit_code) from None
