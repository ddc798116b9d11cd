"""What an app reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.settings.durations import duration_text
from app.settings.longer import LatePolicy
from app.settings.sources import Sources, parse_sources


class OutputNames:
    """The names of the topics that are read and written: a part of `Settings`."""

    if TYPE_CHECKING:  # what the names are made of
        app_id: str
        topics_prefix: str
        ticks_topic: str
        repartition: bool
        window_size: int
        late_policy: LatePolicy

        @property
        def frame_names(self) -> tuple[str, ...]:
            """The frames of longer bars."""

    @property
    def size_text(self) -> str:
        """The window size as topics and headings spell it: `1m`, `5s`."""
        return duration_text(self.window_size)

    @property
    def sources(self) -> Sources:
        """The topics that ticks come from."""
        return parse_sources(self.ticks_topic)

    @property
    def input_topic(self) -> str:
        """What the engines read: `ticks_topic`, or with `repartition=on` the topic that its ticks are copied to."""
        return self.repartition_topic if self.repartition else self.ticks_topic

    @property
    def repartition_topic(self) -> str:
        """Topic of the ticks by symbol, with `repartition=on`."""
        return f"{self.topics_prefix}{self.app_id}-ticks-repartition"

    @property
    def repartition_positions_topic(self) -> str:
        """Topic that says up to where each partition of the sources has been copied."""
        return f"{self.topics_prefix}{self.app_id}-repartition-positions"

    @property
    def repartition_group(self) -> str:
        """The consumer group that reads the sources."""
        return f"{self.app_id}-repartition"

    @property
    def finals_topic(self) -> str:
        """Topic of the final bars."""
        return self.finals_topic_of("")

    def finals_topic_of(self, frame: str) -> str:
        """Topic of the final bars of a frame; empty: the base bars."""
        return f"{self.topics_prefix}bar_{frame or self.size_text}_final"

    def corrections_topic_of(self, frame: str) -> str:
        """Topic of the revised bars of a frame; empty: of the base bars."""
        return f"{self.topics_prefix}bar_{frame or self.size_text}_corrections"

    @property
    def corrects(self) -> bool:
        """Whether late ticks revise bars."""
        return self.late_policy is LatePolicy.correct

    @property
    def beyond_topics(self) -> dict[str, str]:
        """Topics of bars beside the base finals, with what they hold. They are part of the checkpoint's transaction."""
        topics = {self.finals_topic_of(frame): f"the final bars of {frame}" for frame in self.frame_names}
        if self.corrects:
            topics |= {self.corrections_topic_of(frame): "the revised bars" for frame in ("", *self.frame_names)}
        return topics

    @property
    def bar_topics(self) -> dict[str, str]:
        """All topics of bars, with the frame of each; the base bars, whose frame is empty, come first."""
        frames = ("", *self.frame_names)
        topics = {self.finals_topic_of(frame): frame for frame in frames}
        return topics | ({self.corrections_topic_of(frame): frame for frame in frames} if self.corrects else {})

    @property
    def recovered_topics(self) -> tuple[str, ...]:
        """Topics from which the state of a partition is recovered, the input first."""
        more = tuple(self.beyond_topics) if self.corrects else ()
        return self.input_topic, self.finals_topic, self.changelog_topic, *more

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
    repartitioned = {
        names.repartition_topic: "the repartitioned ticks",
        names.repartition_positions_topic: "the positions of the repartition",
    }
    return (repartitioned if names.repartition else {}) | {
        names.finals_topic: "the final bars",
        **names.beyond_topics,
        names.late_topic: "the late ticks",
        names.rejected_topic: "the rejected records",
        names.changelog_topic: "the open windows and positions",
        names.history_topic: "the history of migrations",
    }
