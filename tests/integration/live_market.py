"""A market that ticks in real time beside a test, and the check that its bars are there once and right."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from itertools import count
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer

from app.settings import Settings
from tests.support.reference import Rules, answer
from tests.support.reference_records import parsed
from tests.support.ticks import heartbeat, now_ms, produce, read
from tests.support.worker import Worker

EVERY = 0.05  # seconds between two rounds of ticks
SYMBOLS = ("x", "y", "z")
PATIENCE_MS = 120_000  # how long a record waits for its broker; an idempotent one waits for ever
REQUEST_MS = 15_000  # after which an idempotent producer asks for the leader again
BATCH_BYTES = 1 << 20  # what waits for one partition must not hold up the others
FOREVER_MS = 3_600_000


class LiveMarket:
    """Ticks of three symbols in every partition, sent from a thread of its own inside a `with` block.

    With acks=1 the leader's acknowledgement is enough: records go on coming while a follower holds up the high watermark.
    """

    def __init__(self, worker: Worker, *, acks: int | str = "all") -> None:
        self._worker, self._acks = worker, acks
        self._partitions = int(worker.settings["topic_partitions"])
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _send(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001  # raised at the end of the block
            self._error = error

    async def _run(self) -> None:
        idempotent = self._acks == "all"
        producer = AIOKafkaProducer(
            bootstrap_servers=self._worker.bootstrap,
            enable_idempotence=idempotent,
            acks=self._acks,
            linger_ms=5,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_MS if idempotent else PATIENCE_MS,
        )
        await producer.start()
        try:
            sent = []
            for partition, key, value in self._ticks():
                sent.append(await producer.send(self._worker.ticks_topic, value, key, partition=partition))
                if not len(sent) % (self._partitions * len(SYMBOLS)):
                    await asyncio.sleep(EVERY)
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    def _ticks(self) -> Iterator[tuple[int, bytes, bytes]]:
        prices = random.Random(7)
        for seq in count():
            if self._stop.is_set():
                return
            for partition in range(self._partitions):
                for symbol in SYMBOLS:
                    value = f'{{"ts":{now_ms()},"bid":1.{prices.randrange(100_000):05},"seq":{seq}}}'
                    yield partition, f"P{partition}|{symbol}".encode(), value.encode()

    # ---- afterwards

    def finish(self) -> None:
        """Close the last windows by heartbeats, wait until the worker has published everything, stop it and check its bars."""
        worker = self._worker
        settings = _settings(worker)
        window_end = (now_ms() // settings.window_size + 1) * settings.window_size
        while now_ms() < window_end:  # no heartbeat closes a window whose end has not passed
            time.sleep((window_end - now_ms()) / 1_000)
        for partition in range(self._partitions):
            produce(worker.bootstrap, worker.ticks_topic, [heartbeat(now_ms() + settings.grace, f"P{partition}|x")], partition)
        worker.wait_closed(len(read(worker.bootstrap, worker.ticks_topic)))
        found = worker.get("/api/v1/accounting")
        assert found is not None
        worker.stop()
        late = check_bars(worker)
        total = found["total"]
        assert total["late"] == late
        assert total["rejected"] == total["lost"] == 0
        assert [part["arrival_clock_violations"] for part in found["partitions"].values()] == [0] * self._partitions


def check_bars(worker: Worker) -> int:
    """Check that bars and late ticks are what the reference makes of the topic: each bar once, in order, and byte by byte.

    Returns the number of late ticks.
    """
    ticks, finals, late = (
        read(worker.bootstrap, topic) for topic in (worker.ticks_topic, worker.finals_topic, worker.late_topic)
    )
    settings = _settings(worker)
    rules = Rules(settings.window_size, settings.grace, settings.scope.value)
    late_places = sorted((seen.key or b"").decode() for seen in late)
    expected_late = []
    for number in sorted({seen.partition for seen in ticks}):
        entries = [parsed(seen) for seen in ticks if seen.partition == number]
        expected = answer(entries, rules, until=max(entry.arrival for entry in entries) + FOREVER_MS)
        published = [(seen.key, seen.value) for seen in finals if seen.partition == number]
        assert published == [(bar.key(), bar.json()) for bar in expected.bars]
        assert published
        expected_late += [f"{worker.ticks_topic}|{number}|{offset}" for offset, kind, _ in expected.side if kind == "late"]
    assert late_places == sorted(expected_late)
    return len(late)


def _settings(worker: Worker) -> Settings:
    return Settings.load(**worker.settings)
