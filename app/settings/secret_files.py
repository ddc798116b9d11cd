"""Secrets from files: `BARWHEEL_SASL_PASSWORD_FILE=/run/secrets/kafka` in place of `BARWHEEL_SASL_PASSWORD`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values

from app.errors import SettingsError
from app.settings.env_file import ENV_FILE

SUFFIX = "_FILE"


def files_set(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """The files that are named in the environment, else in `.env`, by the setting they hold."""
    here = {name.upper(): value for name, value in os.environ.items()}
    written = {name.upper(): value or "" for name, value in dotenv_values(ENV_FILE, encoding="utf-8-sig").items()}
    found = {}
    for name in names:
        variable = f"{prefix}{name}".upper()
        places = here if variable in here or variable + SUFFIX in here else written
        if places.get(variable + SUFFIX):
            found[name] = places[variable + SUFFIX]
    return found


def read_secrets(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """What these files hold, without the newline at the end. Raises `SettingsError` in one line, which shows no secret."""
    return {name: _read(f"{prefix}{name}".upper(), path) for name, path in files_set(prefix, names).items()}


def _read(variable: str, path: str) -> str:
    shown = f"{variable}{SUFFIX}={path}"
    beside = {**dotenv_values(ENV_FILE, encoding="utf-8-sig"), **os.environ}
    if any(name.upper() == variable and value for name, value in beside.items()):
        raise SettingsError(f"{shown}: {variable} is set, too: set one of them")
    try:
        secret = Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SettingsError(f"{shown}: the file is not UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{shown}: {(error.strerror or str(error)).lower()}") from None
    if not secret:
        raise SettingsError(f"{shown}: the file is empty")
    return secret
