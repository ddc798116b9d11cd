"""Directories below `data_dir`."""

from __future__ import annotations

import os
from pathlib import Path

from app.errors import SettingsError


def folder_problem(path: Path) -> str | None:
    """Why a directory cannot be written to, or not be created; None if it can. Nothing is changed."""
    try:
        there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    except OSError as error:
        return error.strerror or str(error)
    if not there.is_dir():
        return f"{there} is no folder"
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} is not writable"


def make_folder(path: Path) -> None:
    """Create a directory and its parents; raises `SettingsError` if it cannot be created or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, "it is not writable")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; set BARWHEEL_DATA_DIR to a folder that can be written to") from error
