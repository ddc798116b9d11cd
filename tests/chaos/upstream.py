"""Another producer of the input: it opens transactions, leaves them open for seconds, and aborts them.

Its records lie between the market's and are never committed. While a transaction is open, a consumer of committed records sees
nothing of what lies behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.synthetic_ticks import pairs
from tests.support.ticks import now_ms

TRANSACTION_MS = 120_000  # longer than any is open: the broker must not end it first
DEADLINE = 90.0  # seconds for an abort, through outages of the broker
PRICE = 99_999  # far from the market's: it shows in a bar that took it


class Upstream:
    """A transactional producer, which starts again under its transactional id after an error."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._bootstrap, self._topic, self._partitions = bootstrap, topic, partitions
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def abort_one(self, opened: Callable[[], None], seconds: float) -> None:
        """Write a tick of each symbol in a transaction, call `opened`, wait, and abort."""
        async with self._turn:
            try:
                await self._open()
            except KafkaError:
                await self.close()  # the broker is away: there may be no transaction
            finally:
                opened()
            await asyncio.sleep(seconds)
            await self._abort()

    async def _open(self) -> None:
        producer = await self._connected()
        await producer.begin_transaction()
        for pair in pairs(self._partitions):
            value = f'{{"ts":{now_ms()},"bid":{PRICE}}}'.encode()
            key = f"{pair.broker}|{pair.symbol}".encode()
            await producer.send_and_wait(self._topic, key=key, value=value, partition=pair.partition)

    async def _abort(self) -> None:
        """Abort; after an error a new producer with the same transactional id does, by its start."""
        until = time.monotonic() + DEADLINE
        while True:
            try:
                if self._producer is None:
                    await self._connected()
                else:
                    await self._producer.abort_transaction()
            except KafkaError as error:
                await self.close()
                if time.monotonic() > until:
                    raise AssertionError(f"a transaction could not be aborted: {error!r}") from error
                await asyncio.sleep(0.2)
            else:
                return

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                transactional_id=f"{self._topic}-upstream",
                transaction_timeout_ms=TRANSACTION_MS,
                request_timeout_ms=10_000,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Close the connection; a transaction that is open stays open."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                await producer.stop()
