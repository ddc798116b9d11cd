"""Directories below `data_dir`."""

from __future__ import annotations

import os
from pathlib import Path

from app.errors import SettingsError


def make_folder(path: Path) -> None:
    """Create a directory and its parents; raises `SettingsError` if it cannot be created or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, "it is not writable")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; set BARWHEEL_DATA_DIR to a folder that can be written to") from error
