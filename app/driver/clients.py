"""Faust's Kafka clients, changed to wait for a broker that is away and to yield raw record batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaConnectionError
from faust.transport.drivers import aiokafka as driver

from app.driver.tasks import Tasks
from app.kafka.fetcher import Heads, RawTopics, heads_of, silence_of

log = logging.getLogger(__name__)
FETCH_WAIT_MS = 200  # how long the broker may hold an empty fetch response; the idle timer is late by this much at most
LEAVE_SECONDS = 5.0  # for leaving the group
CONNECT_SECONDS = 1.0  # between two attempts to connect


async def start_with_retry(start: Callable[[], Awaitable[None]]) -> None:
    """Start a client, and retry while the broker is away. Faust would end the worker instead."""
    while True:
        try:
            await start()
        except KafkaConnectionError as error:
            log.warning("the broker is away (%s): trying again in %.0f s", error, CONNECT_SECONDS)
            await asyncio.sleep(CONNECT_SECONDS)
        else:
            return


class Producer(driver.Producer):
    """Faust's own producer. Faust starts it, although nothing is sent with it."""

    async def on_start(self) -> None:
        """Connect, and wait for the broker if it is away."""
        await start_with_retry(super().on_start)

    async def on_stop(self) -> None:
        """Close the producer, if it was started."""
        if self._producer is not None:
            await super().on_stop()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with a consumer that yields raw batches of the input topic."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        tasks: Tasks = transport.tasks
        # Faust has no settings for these
        consumer._key_deserializer = RawTopics(frozenset({tasks.settings.ticks_topic}))  # noqa: SLF001  # see above
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001  # see above
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # ticks of an aborted transaction must not count
        consumer._partition_assignment_strategy = (tasks.assignor,)  # noqa: SLF001  # see above
        return consumer

    async def on_start(self) -> None:
        """Connect, and wait for the broker if it is away."""
        await start_with_retry(super().on_start)

    async def on_thread_stop(self) -> None:
        """Leave the group and close the consumer; give up after `LEAVE_SECONDS` without an answer."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await super().on_thread_stop()
        except TimeoutError:
            log.warning("the broker does not answer: LeaveGroup not sent, the group reassigns after the session timeout")

    def heads(self) -> Heads:
        """The ends of the log, as the last empty fetch responses said."""
        return heads_of(self._ensure_consumer())

    def silence(self) -> float:
        """Seconds since the broker last answered a fetch."""
        return silence_of(self._ensure_consumer())
