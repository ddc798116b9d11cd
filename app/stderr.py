"""Messages on stderr before logging is set up, and the exit with the code of an error, also of one of the output itself."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

from app.errors import BarwheelError
from app.plain import plain

# what a write to the output gives if the disk is full, or the output is not open for writing
UNWRITABLE = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF])


def say(text: str) -> None:
    """Print one line, `app: <text>`; Faust would swallow a log record at this point."""
    if sys.stderr is None:
        return  # it was closed by whoever started this process
    sys.stderr.write(f"app: {plain(text)}\n")
    sys.stderr.flush()


def fail(error: BarwheelError) -> NoReturn:
    """Print the error in one line and exit with the code of its class."""
    say(str(error))
    raise SystemExit(error.exit_code) from None


def cannot_write(error: OSError) -> NoReturn:
    """Exit because the result could not be written; raises the error itself if it is of another file."""
    if error.errno not in UNWRITABLE or error.filename is not None:
        raise error
    discard_output()
    fail(BarwheelError(f"cannot write the result: {error.strerror}"))


def discard_output() -> None:
    """Discard what is buffered for stdout, or Python flushes it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
