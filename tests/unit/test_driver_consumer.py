"""The Faust consumer: gaps in what was fetched, and how slices are handed to the agent.

A gap is read again, then recovered, and ends the worker if it stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from app.driver.consumer import Consumer
from app.driver.messages import cut, message_of, packed, run_unless_suspended
from app.errors import BarwheelError, StateError
from app.kafka.records import Batch, Skipped
from app.kafka.slices import GapError, Slice
from tests.support.waiting import until

INPUT = TP("ticks", 0)


class Reading(Consumer):
    """A consumer without Faust: it notes its seeks, and the errors it reports."""

    def __init__(self) -> None:
        self._continuity, self._gap_counts, self._corrupt = {}, {}, 0
        self.seeks: list[Mapping[TP, int]] = []
        self.errors: list[BaseException] = []
        self.transport: Any = SimpleNamespace(tasks=SimpleNamespace(handle_error=self._failed))

    async def _failed(self, error: BaseException) -> None:
        self.errors.append(error)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.seeks.append(partitions)


@pytest.fixture
async def reading() -> Reading:
    made = Reading()
    await made.seek_to({INPUT: 10})
    made.seeks.clear()
    return made


async def test_batches_of_a_partition_without_a_position_are_left_out(reading: Reading) -> None:
    assert await reading._without_gaps(TP("ticks", 1), [Skipped(0, 5)]) == []
    assert (reading.seeks, reading.errors) == ([], [])


async def test_a_gap_is_fetched_again_then_recovered_and_then_ends_the_worker_with_its_offsets(reading: Reading) -> None:
    before, after = Skipped(10, 12), Skipped(15, 20)
    assert await reading._without_gaps(INPUT, [before, after]) == [before]
    assert (reading.seeks, reading.errors) == ([{INPUT: 12}], [])
    assert await reading._without_gaps(INPUT, [after]) == []
    (error,) = reading.errors
    assert isinstance(error, GapError), "the partitions are recovered"
    assert "ticks[0]: offsets 12 to 14 did not come" in str(error)
    reading.errors.clear()
    await reading.seek_to({INPUT: 12})  # as after the recovery
    assert await reading._without_gaps(INPUT, [after]) == [], "nothing behind a gap is ever handed on"
    (error,) = reading.errors
    assert isinstance(error, StateError)
    assert isinstance(error, BarwheelError), "ends the worker with one line"
    assert (error.exit_code, "\n" in str(error)) == (4, False)
    assert "ticks[0]: there are no offsets 12 to 14" in str(error)


async def test_a_gap_that_is_filled_by_the_second_fetch_is_no_error(reading: Reading) -> None:
    missing, after = Skipped(10, 15), Skipped(15, 20)
    assert await reading._without_gaps(INPUT, [after]) == []
    assert reading.seeks == [{INPUT: 10}]
    assert await reading._without_gaps(INPUT, [missing, after]) == [missing, after]
    assert reading.errors == []


async def test_offsets_far_below_those_handed_on_are_recovered_from(reading: Reading) -> None:
    assert await reading._without_gaps(INPUT, [Skipped(0, 5)]) == []
    (error,) = reading.errors
    assert isinstance(error, GapError)
    assert "ticks[0]: offset 0 came, after 9" in str(error)


@pytest.mark.parametrize(
    ("sizes", "slices"),
    [([], []), ([3], [[3]]), ([3, 3, 3, 3], [[3, 3], [3, 3]]), ([20, 1], [[20], [1]]), ([4, 4], [[4, 4]])],
)
def test_slices_are_whole_batches_of_about_the_limit(sizes: list[int], slices: list[list[int]]) -> None:
    batches: list[Batch] = [Skipped(10 * n, 10 * n + size) for n, size in enumerate(sizes)]
    parts = list(cut(Slice(0, "task", batches, 7, full=True), 6))
    assert [[b.next_offset - b.base_offset for b in part.batches] for part in parts] == slices
    assert all(part[:2] == (0, "task") and part.full for part in parts)
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True] * bool(parts)


def part(partition: int, first: int, size: int) -> Slice:
    return Slice(partition, "task", [Skipped(first, first + size)], 0)


@pytest.mark.parametrize(
    ("sizes", "messages"),
    [([], []), ([1], [[1]]), ([1, 2, 1], [[1, 2, 1]]), ([3, 3, 3, 3], [[3, 3], [3, 3]]), ([20, 1, 1], [[20], [1, 1]])],
)
def test_the_slices_of_a_fetch_share_messages_up_to_the_limit(sizes: list[int], messages: list[list[int]]) -> None:
    slices = [part(number, 10, size) for number, size in enumerate(sizes)]
    found = list(packed(slices, 6))
    assert [[one.batches[0].next_offset - 10 for one in together] for together in found] == messages
    assert [one for together in found for one in together] == slices


def test_a_message_has_the_partition_and_the_offset_of_its_last_record() -> None:
    message = message_of("ticks", (part(1, 10, 5), part(3, 20, 5)), 7)
    assert (message.tp, message.partition, message.offset, message.generation_id) == (TP("ticks", 3), 3, 24, 7)


class Delivering(Consumer):
    """A consumer whose agent is busy until it is told otherwise."""

    flow_active = True

    def __init__(self) -> None:
        self._corrupt = 1
        self.loop = asyncio.get_running_loop()
        self._stopped, self._crashed, self.suspend_flow = (asyncio.Event() for _ in range(3))  # type: ignore[assignment]  # Faust's
        self.free = asyncio.Event()
        self.given: list[Any] = []
        self.app: Any = SimpleNamespace(consumer_generation_id=7)

    async def deliver(self) -> None:
        await run_unless_suspended(self, self._hand_on(MESSAGE))

    async def callback(self, message: Any) -> None:
        await self.free.wait()
        self.given.append(message)


MESSAGE = message_of("ticks", (part(1, 10, 5),), 7)


async def test_a_message_waits_until_the_agent_takes_it() -> None:
    delivering = Delivering()
    delivery = asyncio.ensure_future(delivering.deliver())
    await until(lambda: delivering.free._waiters)
    assert not delivery.done()
    delivering.free.set()
    await delivery
    assert (delivering.given, delivering._corrupt) == ([MESSAGE], 0)


async def test_a_message_that_waits_when_a_rebalance_begins_is_given_up() -> None:
    delivering = Delivering()
    delivery = asyncio.ensure_future(delivering.deliver())
    await until(lambda: delivering.free._waiters)
    delivering.suspend_flow.set()
    await delivery
    delivering.free.set()
    await asyncio.sleep(0)
    assert delivering.given == []


async def test_a_message_from_before_a_rebalance_is_dropped() -> None:
    delivering = Delivering()
    delivering.free.set()
    delivering.app.consumer_generation_id = 8
    await delivering.deliver()
    assert delivering.given == []


async def test_an_error_of_a_delivery_reaches_the_loop() -> None:
    delivering = Delivering()

    async def fail(_message: Any) -> None:
        raise KafkaError("as any other")

    delivering.callback = fail  # type: ignore[assignment]  # the fault
    with pytest.raises(KafkaError, match="as any other"):
        await delivering.deliver()
