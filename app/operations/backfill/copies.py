"""All bars that a backfill computes, published to topics of their own, where other programs can compare them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from pydantic import TypeAdapter, ValidationError

from agents.bar_schemas import BarSchemas
from agents.beyond import BeyondOutputs
from agents.headers import APP_HEADER
from agents.topics import SIDE_EXTRA_BYTES, ensure
from app.errors import InputError
from app.kafka.cluster import Cluster
from app.kafka.producers import BatchProducer
from app.kafka.reader import Reader
from app.settings import Settings
from app.settings.longer import LatePolicy
from app.settings.types import TopicName
from tables.emission import Closed


class Copies:
    """Use it with `async with`. Without a prefix it publishes nothing."""

    def __init__(self, settings: Settings, cluster: Cluster, prefix: str) -> None:
        self._prefix, self._cluster = prefix, cluster
        self._before = settings.topics_prefix
        names = {"app_id": f"{settings.app_id}-backfill", "topics_prefix": prefix, "late_policy": LatePolicy.drop}
        self._settings = settings.model_copy(update=names)
        self._producer: BatchProducer | None = None

    async def __aenter__(self) -> Self:
        """Create the topics. Raises `InputError` where the prefix is none, or has bars already."""
        if not self._prefix:
            return self
        try:
            TypeAdapter(TopicName).validate_python(self._prefix)
        except ValidationError:
            raise InputError(f"--into {self._prefix}: is no beginning of a topic's name") from None
        settings = self._settings
        if self._prefix == self._before:
            raise InputError(f"--into {self._prefix}: is the topics_prefix of the published bars; choose another")
        topics = await ensure(settings, self._cluster)
        await BarSchemas(settings).check(patient=False)
        async with Reader(self._cluster, frozenset(settings.bar_topics)) as reader:
            for topic in settings.bar_topics:
                for number in range(topics.partitions):
                    begin, end = await reader.bounds(topic, number)
                    if begin < end:
                        raise InputError(f"--into {self._prefix}: {topic} has bars already; choose another prefix")
        self._producer = BatchProducer(
            self._cluster, max_request=topics.max_message_bytes + SIDE_EXTRA_BYTES, batch_limits=topics.batch_limits
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, partition: int, steps: list[Closed]) -> None:
        """Publish the bars of these steps, and wait until that is acknowledged. Raises aiokafka's errors."""
        if self._producer is not None and steps:
            headers = [(APP_HEADER, self._settings.app_id.encode())]
            await BeyondOutputs(self._settings, partition).send(self._producer, steps, headers)
