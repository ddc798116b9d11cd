"""The market's producer: idempotent, keeps each record until it is acknowledged, and knows afterwards what it sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from tests.chaos.market import Sent, market
from tests.support.ticks import now_ms

SERIAL = "n"  # the header that numbers the records
PATIENCE_MS = 120_000  # how long a record may wait for its broker
DEADLINE = 90.0  # seconds for the last acknowledgement


class Feed:
    """Sends until it is told to stop. `records[serial]` is what was meant, `acknowledged[serial]` where it lies."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, seed: int) -> None:
        self.records: list[Sent] = []
        self.acknowledged: dict[int, tuple[int, int]] = {}
        self.repeated: Counter[int] = Counter()  # serials that had to be sent again, as nobody knows what became of them
        self.problems: Counter[str] = Counter()
        self._bootstrap, self._topic, self._partitions, self._seed = bootstrap, topic, partitions, seed
        self._producer: AIOKafkaProducer | None = None
        self._failed: list[int] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Send the market in real time, until `stop`."""
        source = market(self._seed, now_ms(), self._partitions)
        try:
            while not self._stop.is_set():
                await self._again()
                record = next(source)
                wait = record.at_ms / 1_000 - time.time()
                if wait > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), wait)
                self.records.append(record)
                await self._send(len(self.records) - 1)
            until = time.monotonic() + DEADLINE
            while len(self.acknowledged) < len(self.records):
                assert time.monotonic() < until, f"{len(self.records) - len(self.acknowledged)} records are not acknowledged"
                await self._again()
                await asyncio.sleep(0.05)
        finally:
            await self._close()

    def stop(self) -> None:
        """Send no more; `run` returns once everything is acknowledged."""
        self._stop.set()

    async def _send(self, serial: int) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                enable_idempotence=True,
                acks="all",
                linger_ms=5,
                request_timeout_ms=PATIENCE_MS,
            )
            await producer.start()
            self._producer = producer
        record = self.records[serial]
        try:
            sent = await self._producer.send(
                self._topic,
                key=record.key,
                value=record.value,
                partition=record.partition,
                headers=[(SERIAL, str(serial).encode())],
            )
        except KafkaError as error:
            self._note(serial, error)
        else:
            sent.add_done_callback(partial(self._done, serial))

    def _done(self, serial: int, sent: asyncio.Future[RecordMetadata]) -> None:
        error = sent.exception() if not sent.cancelled() else asyncio.CancelledError()
        if error is not None:
            self._note(serial, error)
        else:
            self.acknowledged[serial] = sent.result().partition, sent.result().offset

    def _note(self, serial: int, error: BaseException) -> None:
        self.problems[f"{type(error).__name__}: {error}"] += 1
        self._failed.append(serial)

    async def _again(self) -> None:
        """A record that failed may or may not be in the topic: it is sent again, by a new producer."""
        if self._failed:
            await self._close()
            failed, self._failed = self._failed, []
            for serial in failed:
                self.repeated[serial] += 1
                await self._send(serial)

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                await producer.stop()
