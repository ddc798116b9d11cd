"""The market's idempotent producer. It keeps each record until it is acknowledged, and remembers what it sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from tests.chaos.sent import SERIAL, SentLog
from tests.chaos.synthetic_ticks import market
from tests.support.ticks import now_ms

PATIENCE_MS = 120_000  # the time a record may wait for its broker
DEADLINE = 90.0  # seconds for the last acknowledgement


class Feed:
    """Sends until `stop`; `sent` is what the judge compares."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, seed: int) -> None:
        self.sent = SentLog()
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
                await self._resend()
                record = next(source)
                wait = record.at_ms / 1_000 - time.time()
                if wait > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), wait)
                self.sent.records.append(record)
                await self._send(len(self.sent.records) - 1)
            until = time.monotonic() + DEADLINE
            while missing := len(self.sent.records) - len(self.sent.acknowledged):
                assert time.monotonic() < until, f"{missing} records are not acknowledged"
                await self._resend()
                await asyncio.sleep(0.05)
        finally:
            await self._close()

    def stop(self) -> None:
        """Stop sending; `run` returns when everything is acknowledged."""
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
        record = self.sent.records[serial]
        try:
            sent = await self._producer.send(
                self._topic,
                key=record.key,
                value=record.value,
                partition=record.partition,
                headers=[(SERIAL, str(serial).encode())],
            )
        except KafkaError as error:
            self._note_failure(serial, error)
        else:
            sent.add_done_callback(partial(self._done, serial))

    def _done(self, serial: int, sent: asyncio.Future[RecordMetadata]) -> None:
        error = sent.exception() if not sent.cancelled() else asyncio.CancelledError()
        if error is not None:
            self._note_failure(serial, error)
        else:
            self.sent.acknowledged_ms[serial] = now_ms()
            self.sent.acknowledged[serial] = sent.result().partition, sent.result().offset

    def _note_failure(self, serial: int, error: BaseException) -> None:
        self.problems[f"{type(error).__name__}: {error}"] += 1
        self._failed.append(serial)

    async def _resend(self) -> None:
        """Send failed records again with a new producer; the first attempts may or may not be in the topic."""
        if self._failed:
            await self._close()
            failed, self._failed = self._failed, []
            for serial in failed:
                self.sent.repeated[serial] += 1
                await self._send(serial)

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                await producer.stop()
