"""The headers of what a worker publishes: who it was, and how far it had read."""

from __future__ import annotations

from collections.abc import Iterable

from app.kafka.records import NO_EPOCH

APP_HEADER = "app_id"
EPOCH_HEADER = "leader_epoch"  # of the input, when the bar was published


def producer_app(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """The app id that published a record, by its headers; None without one."""
    return next((value for name, value in headers if name == APP_HEADER), None)


def leader_epoch_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The leader epoch that a bar's headers name."""
    text = next((value for name, value in headers if name == EPOCH_HEADER), None)
    return int(text) if text is not None and text.isdigit() else NO_EPOCH
