"""barwheel's application: `faust -A app worker` finds the Faust app here. It is built when first accessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.version import __version__

if TYPE_CHECKING:
    import faust

    app: faust.App


__all__ = ["__version__", "app"]


def __getattr__(name: str) -> Any:
    # Built on access, so that the pocket broker and the pure modules start without Faust and without settings.
    if name == "app":
        from app.application import faust_app  # noqa: PLC0415  # see above

        return faust_app()
    raise AttributeError(f"module 'app' has no attribute {name!r}")
