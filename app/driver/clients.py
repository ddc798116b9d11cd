"""Faust's Kafka clients, changed to wait for a broker that is away and to yield raw record batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.driver.task_protocol import Tasks
from app.kafka.failures import reason_of
from app.kafka.fetch_pace import FetchPace
from app.kafka.fetcher import (
    Heads,
    RawTopics,
    heads_of,
    pace_fetches,
    refusals_of,
    report_errors_of_the_group,
    silence_of,
)
from tables.native import checksum

log = logging.getLogger(__name__)
LEAVE_SECONDS = 5.0  # for leaving the group
CONNECT_SECONDS = 1.0  # between two attempts to connect


async def start_with_retry(start: Callable[[], Awaitable[None]], report: Callable[[BaseException], Awaitable[None]]) -> None:
    """Start a client, and retry until it has started. Faust would end the worker with a traceback instead.

    `report` gets each error. Where another attempt cannot help, it ends the worker, which ends this.
    """
    while True:
        try:
            await start()
        except KafkaError as error:
            await report(error)
            await asyncio.sleep(CONNECT_SECONDS)
        else:
            return


class Producer(driver.Producer):
    """Faust's own producer. Faust starts it, although nothing is sent with it."""

    async def on_start(self) -> None:
        """Connect, and wait for the broker if it is away."""
        await start_with_retry(super().on_start, cast("Any", self.transport).tasks.client_failed)

    async def on_stop(self) -> None:
        """Close the producer, if it was started."""
        if self._producer is not None:
            await super().on_stop()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with a consumer that yields raw batches of the input topic."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pace = FetchPace()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        tasks: Tasks = transport.tasks
        # Faust has no settings for these
        consumer._key_deserializer = RawTopics(  # noqa: SLF001  # see above
            frozenset({tasks.settings.input_topic}), checksum(tasks.settings.native.value)
        )
        consumer._fetch_min_bytes = tasks.settings.fetch_min_bytes  # noqa: SLF001  # see above
        consumer._fetch_max_wait_ms = tasks.settings.fetch_max_wait  # noqa: SLF001  # see above
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # ticks of an aborted transaction must not count
        consumer._partition_assignment_strategy = (tasks.assignor,)  # noqa: SLF001  # see above
        return consumer

    async def on_start(self) -> None:
        """Connect, and wait for the broker if it is away."""
        await start_with_retry(super().on_start, self._report)
        report_errors_of_the_group(self._ensure_consumer(), self._report)
        pace_fetches(self._ensure_consumer(), self.pace)

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's signature
        """Wait for records. Faust's own goes through a queue and the tasks that serve it, which costs more than the fetch."""
        consumer = self._ensure_consumer()
        records = self._fetch_records(
            consumer,
            cast("set[TP]", active_partitions),
            timeout=timeout,
            max_records=consumer._max_poll_records,  # noqa: SLF001  # as Faust's own does
        )
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(records, self.thread_loop))

    async def _report(self, error: BaseException) -> None:
        """Tell the tasks of an error; they live in another thread."""
        tasks: Tasks = cast("Any", self.transport).tasks
        told = asyncio.run_coroutine_threadsafe(tasks.client_failed(error), self.parent_loop)
        await asyncio.wrap_future(told)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit offsets; False where the group does not take them from us. Raises aiokafka's other errors.

        Faust would end the worker on those, although the broker may be away for a moment only.
        """
        if not offsets:
            return True
        try:
            await self._ensure_consumer().commit(
                {driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            log.info("the group did not take the offsets: %s", reason_of(error))
            return False
        return True

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

    def refusals(self) -> int:
        """How often a fetch response had an error for a partition."""
        return refusals_of(self._ensure_consumer())
