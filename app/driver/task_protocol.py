"""What the driver needs of the object that manages the partition tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from faust.types import TP

from app.kafka.assignor import AddressAssignor
from app.settings import Settings


class Working(Protocol):
    """The task of one partition."""

    @property
    def no_bar_before(self) -> int:
        """See `app.kafka.fetch_pace.FetchPace`."""


class Tasks(Protocol):
    """The partition tasks of this worker."""

    @property
    def settings(self) -> Settings:
        """The worker's settings."""

    @property
    def assignor(self) -> AddressAssignor:
        """The partition assignor of the consumer group."""

    def running(self) -> Mapping[int, Working]:
        """The task of each partition that is at work, by partition number."""

    def positions(self) -> Mapping[TP, int]:
        """The next offset to read, for each partition that is at work."""

    async def handle_error(self, error: BaseException) -> None:
        """Report an error: the tasks recover from it, or end the worker."""

    async def client_failed(self, error: BaseException) -> None:
        """Report an error of a client that tries again by itself: the worker ends where that cannot help."""

    async def checkpoint(self) -> None:
        """Make what was processed so far durable."""

    def stop_intake(self) -> None:
        """Take no more slices, and cancel a recovery that is under way."""

    async def abandon(self) -> None:
        """Give up the last checkpoint. When this returns, nothing more is sent for the partitions."""

    def release(self) -> None:
        """Give up all partitions."""

    async def stop(self) -> None:
        """Stop for good, after the last checkpoint."""
