"""Transactional producers that are started together, one for each partition. Starting one fences that of the former owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from aiokafka.errors import KafkaError

from app.kafka.producers import BatchProducer, TransactionalProducer
from app.together import run_together

# Each start makes a connection or two, with their TLS and SASL handshakes: a broker queues few connections that wait for it.
PRODUCERS_AT_ONCE = 16
START_SECONDS = 60.0  # for one producer: its coordinator may first have to end a transaction in a partition without a leader
Key = TypeVar("Key")


class TransactionalProducers(Generic[Key]):
    """The producers that were started since the last `stop`, by key."""

    def __init__(self) -> None:
        self.started: dict[Key, TransactionalProducer] = {}
        self._all: list[BatchProducer] = []  # also those that are starting
        self._starting = asyncio.Semaphore(PRODUCERS_AT_ONCE)

    async def start(self, keys: Iterable[Key], make: Callable[[Key], TransactionalProducer]) -> dict[Key, KafkaError | OSError]:
        """Make and start a producer for each key, and return the errors of those that did not start.

        Former producers of these keys are stopped first.
        """
        failed: dict[Key, KafkaError | OSError] = {}

        async def start(key: Key) -> None:
            producer = make(key)
            async with self._starting:
                await self._stop_one(key)
                self._all.append(producer)
                try:
                    async with asyncio.timeout(START_SECONDS):
                        await producer.start()
                except (KafkaError, OSError) as error:
                    failed[key] = error
                    await producer.stop()
                    self._all.remove(producer)
                else:
                    self.started[key] = producer

        await run_together(map(start, keys))  # after an error of another kind, none starts after `stop`
        return failed

    async def add(self, producer: BatchProducer) -> None:
        """Start one more, without a key, which ends with the others. Raises aiokafka's errors."""
        self._all.append(producer)
        await producer.start()

    async def abort(self) -> None:
        """End all producers at once, see `BatchProducer.abort`."""
        await asyncio.gather(*(producer.abort() for producer in self._all))

    async def stop(self) -> None:
        """Stop all producers. When this returns, every send has succeeded or failed."""
        for producer in self._all:
            producer.give_up_unsent()
        await asyncio.gather(*(producer.stop() for producer in self._all))
        # only now: if this call is cancelled, the next one waits for the same producers
        self._all, self.started = [], {}

    async def _stop_one(self, key: Key) -> None:
        producer = self.started.pop(key, None)
        if producer is not None:
            producer.give_up_unsent()
            await producer.stop()
            self._all.remove(producer)
