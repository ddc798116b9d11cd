"""What an app writes."""

from __future__ import annotations

from typing import Protocol


class TopicNames(Protocol):
    """The names of the topics, as `Settings` has them."""

    @property
    def finals_topic(self) -> str:
        """Topic of the final bars."""

    @property
    def late_topic(self) -> str:
        """Topic of the late ticks."""

    @property
    def rejected_topic(self) -> str:
        """Topic of the records that are not ticks."""

    @property
    def changelog_topic(self) -> str:
        """Topic of the open windows and the position records."""

    @property
    def history_topic(self) -> str:
        """Topic of the applied migrations."""


def output_topics(names: TopicNames) -> dict[str, str]:
    """What the app writes, by topic. None of them can be its input: it would read what it writes, without an end."""
    return {
        names.finals_topic: "the final bars",
        names.late_topic: "the late ticks",
        names.rejected_topic: "the rejected records",
        names.changelog_topic: "the open windows and positions",
        names.history_topic: "the history of migrations",
    }
