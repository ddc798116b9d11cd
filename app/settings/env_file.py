"""The file `.env`: that it can be read as settings, and the names that it sets."""

from __future__ import annotations

from pathlib import Path

from dotenv.parser import parse_stream

from app.errors import SettingsError

ENV_FILE = Path(".env")


def names_set() -> list[str]:
    """The names that `.env` of the current folder sets, as they are written; empty if there is no such file.

    Raises `SettingsError` if it cannot be read, or if a line is not `NAME=value`: such a line would have no effect.
    """
    if not ENV_FILE.is_file():
        return []
    try:
        with ENV_FILE.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{ENV_FILE}: byte {error.start + 1} is not UTF-8: save the file in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{ENV_FILE}: {(error.strerror or str(error)).lower()}") from None
    for binding in bindings:
        if binding.error:
            line = binding.original.string.strip().splitlines()[0].partition("=")[0]  # the value may be a password
            raise SettingsError(
                f"{ENV_FILE}: line {binding.original.line} ({line}) cannot be read: write NAME=value, and close its quotes"
            )
    return [binding.key for binding in bindings if binding.key]
