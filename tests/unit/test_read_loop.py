"""The loop that reads the input goes on after every error that is not fatal, wherever it happens, and loses no batch."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from aiokafka.errors import CorruptRecordException, IllegalStateError, KafkaError, KafkaTimeoutError
from faust.types import TP

from app.driver.consumer import MAX_CORRUPT, Consumer
from app.errors import StateError
from app.kafka.fetch_pace import FetchPace
from app.kafka.records import Skipped

INPUT = TP("ticks", 0)
END = 12  # offset after the last record
ERRORS = [
    CorruptRecordException("Invalid CRC - ticks[0]"),
    IllegalStateError("ticks[0] is not assigned"),
    KafkaTimeoutError("a seek"),
    KafkaError("something new"),
    TimeoutError(),
    asyncio.CancelledError("from inside"),
]


class Reading(Consumer):
    """The read loop over a log of one-record batches. Every await gives the event loop a turn."""

    error_pause = 0.0
    flow_active = True
    unusual_fetches: ClassVar[dict[int, str]] = {3: "flow", 5: "gap", 7: "back"}  # meet a rebalance, lose or repeat a batch

    def __init__(self) -> None:
        self._continuity, self._gap_counts, self._corrupt = {}, {}, 0
        self._stopped: Any = asyncio.Event()
        self._buffered_partitions = set()
        self.next_fetch = 0  # of the fetcher
        self.consumed: list[int] = []
        self.full: set[bool] = set()  # what the slices say
        self.errors: list[BaseException] = []
        self.unusual = dict(self.unusual_fetches)
        self.fetches = 0
        tasks = SimpleNamespace(
            settings=SimpleNamespace(input_topic=INPUT.topic),
            handle_error=self._failed,
            running=lambda: {0: SimpleNamespace(no_bar_before=700), 1: SimpleNamespace(no_bar_before=500)},
            positions=lambda: {INPUT: len(self.consumed)},
        )
        app = SimpleNamespace(should_stop=False, consumer_generation_id=1)
        self.transport: Any = SimpleNamespace(tasks=tasks, app=app)
        self.app: Any = app
        self._thread: Any = SimpleNamespace(pace=FetchPace())
        self.suspend_flow: Any = SimpleNamespace(wait=lambda: None)

    @property
    def should_stop(self) -> bool:
        return False

    def assignment(self) -> set[TP]:
        return {INPUT}

    async def _failed(self, error: BaseException) -> None:
        self.errors.append(error)
        if isinstance(error, StateError):
            self._stopped.set()
        await asyncio.sleep(0)
        await self.seek_to({INPUT: len(self.consumed)})  # as a recovery does at its end

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        await asyncio.sleep(0)
        self.next_fetch = partitions[INPUT]

    async def _wait_next_records(self, _timeout: float) -> tuple[dict[TP, list[Any]], set[TP]]:
        await asyncio.sleep(0)
        self.flow_active = True
        self.fetches += 1
        unusual = self.unusual.pop(self.fetches, "")
        start = self.next_fetch
        if unusual == "back":
            start = 0
        if unusual == "gap":
            start += 1
        if unusual == "flow":
            self.flow_active = False
        batches = [Skipped(n, n + 1) for n in range(start, min(start + 2, END))]
        self.next_fetch = start + len(batches)
        return {INPUT: batches}, {INPUT}

    async def callback(self, message: Any) -> None:
        await asyncio.sleep(0)
        for part in message.value:
            self.full.add(part.full)
            self.consumed += [offset for batch in part.batches for offset in range(batch.base_offset, batch.next_offset)]
        if len(self.consumed) >= END:
            self._stopped.set()

    async def wait_first(self, *awaitables: Any, **_: Any) -> Any:
        await awaitables[0]


class CatchingUp(Reading):
    """The same with a log of large fetches: their slices are delivered one at a time."""

    slice_records = full_fetch = 1


class Throwing:
    """Runs a coroutine and throws an error into it at its nth suspension."""

    def __init__(self, coroutine: Any, at: int, error: BaseException | None) -> None:
        self._coroutine, self._at, self._error = coroutine, at, error
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        try:
            waiting_for = next(steps)
            while True:
                self.suspensions += 1
                if self.suspensions == self._at and self._error is not None:
                    waiting_for = steps.throw(self._error)
                else:
                    yield waiting_for
                    waiting_for = next(steps)
        except StopIteration as end:
            return end.value


async def read_all(kind: type[Reading], at: int, error: BaseException | None) -> tuple[Reading, int]:
    reading = kind()
    await reading.seek_to({INPUT: 0})
    fetcher = SimpleNamespace(_stopped=asyncio.Event())
    loop = Throwing(reading._drain_messages(fetcher), at, error)

    async def run() -> None:
        await loop

    await asyncio.wait_for(run(), 10)
    return reading, loop.suspensions


@pytest.mark.parametrize(("kind", "full"), [(Reading, {False}), (CatchingUp, {True})])
async def test_a_slice_tells_whether_its_fetch_brought_more_than_a_live_market_does(
    kind: type[Reading], full: set[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "unusual_fetches", {})
    reading, _ = await read_all(kind, 0, None)
    assert reading.full == full


async def test_records_gather_no_longer_than_the_first_partition_allows() -> None:
    reading, _ = await read_all(Reading, 0, None)
    assert reading._thread.pace.no_bar_before == 500


@pytest.mark.parametrize("kind", [Reading, CatchingUp])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_an_error_at_any_await_of_the_loop_costs_no_batch(error: BaseException, kind: type[Reading]) -> None:
    undisturbed, suspensions = await read_all(kind, 0, None)
    assert undisturbed.consumed == list(range(END))
    assert suspensions > 20, "the loop met every kind of await"
    for at in range(1, suspensions + 1):
        reading, _ = await read_all(kind, at, error)
        assert reading.consumed == list(range(END)), f"suspension {at}"


async def test_a_cancelled_task_ends() -> None:
    reading = Reading()
    reading.unusual.clear()
    task = asyncio.ensure_future(reading._drain_messages(SimpleNamespace(_stopped=asyncio.Event())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_batch_that_stays_corrupt_ends_the_worker() -> None:
    reading = Reading()

    async def corrupt(_timeout: float) -> Any:
        await asyncio.sleep(0)
        raise CorruptRecordException("Invalid CRC - ticks[0]")

    reading._wait_next_records = corrupt  # type: ignore[method-assign]  # the fault
    task = asyncio.ensure_future(reading._drain_messages(SimpleNamespace(_stopped=reading._stopped)))
    await asyncio.wait_for(task, 10)
    assert [type(error) for error in reading.errors] == [CorruptRecordException] * (MAX_CORRUPT - 1) + [StateError]
    assert "Invalid CRC" in str(reading.errors[-1])
