"""What an app writes."""

from __future__ import annotations

from typing import TYPE_CHECKING


class OutputNames:
    """The names of the topics that are written: a part of `Settings`."""

    if TYPE_CHECKING:  # what the names are made of
        app_id: str
        topics_prefix: str

        @property
        def size_text(self) -> str:
            """The window size as topics spell it."""

    @property
    def finals_topic(self) -> str:
        """Topic of the final bars."""
        return f"{self.topics_prefix}bar_{self.size_text}_final"

    @property
    def late_topic(self) -> str:
        """Topic of the late ticks."""
        return f"{self.topics_prefix}ticks_late"

    @property
    def rejected_topic(self) -> str:
        """Topic of the records that are not ticks."""
        return f"{self.topics_prefix}ticks_rejected"

    @property
    def changelog_topic(self) -> str:
        """Topic of the open windows and the position records."""
        return f"{self.topics_prefix}{self.app_id}-windows-changelog"

    @property
    def history_topic(self) -> str:
        """Topic of the applied migrations; apps with the same prefix share it."""
        return f"{self.topics_prefix}_meta_migrations"


def output_topics(names: OutputNames) -> dict[str, str]:
    """What the app writes, by topic. None of them can be its input: it would read what it writes, without an end."""
    return {
        names.finals_topic: "the final bars",
        names.late_topic: "the late ticks",
        names.rejected_topic: "the rejected records",
        names.changelog_topic: "the open windows and positions",
        names.history_topic: "the history of migrations",
    }
