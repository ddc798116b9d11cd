"""barwheel's application: `faust -A app worker` finds the Faust app here, built when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.version import __version__

if TYPE_CHECKING:
    from app.application import BarwheelApp

    app: BarwheelApp


__all__ = ["__version__", "app"]


def __getattr__(name: str) -> Any:
    # lazily, so that the pocket broker and the pure parts start without Faust and without settings
    if name == "app":
        from app.application import faust_app  # noqa: PLC0415  # see above

        return faust_app()
    raise AttributeError(f"module 'app' has no attribute {name!r}")
