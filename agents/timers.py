"""The timer of the idle closes: the task that turns the wheels, and the rules of its clock.

The timer makes no decisions. The log alone determines what closes, and at which arrival time. The timer only publishes it
before the next record comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import faust

from agents.markers import Markers
from app.kafka.clock import BrokerClock, now_ms
from app.kafka.fetch_pace import LONG_MS
from app.kafka.fetcher import Head
from app.kafka.producers import BatchProducer
from app.kafka.records import APPEND_TIME
from app.kafka.slices import Slice
from app.settings import Settings
from tables.engine import Engine
from tables.scopes import UNKNOWN

AHEAD_MS = 3 * LONG_MS  # the next fetch but one has come by then
log = logging.getLogger(__name__)


class TimerClock:
    """The arrival time up to which one partition is known to hold no unread record.

    All times are ms: arrival time is epoch time, the others are by `steady_ms`.
    """

    def __init__(self, broker: BrokerClock, idle_margin: int, arrival: int, *, append_time: bool) -> None:
        """`append_time`: LogAppendTime input. `arrival`: the largest arrival time so far, as stored by a former run.

        Where only the producers give times (CreateTime), arrival time goes on from `arrival` now.
        """
        self.broker = broker
        self.idle_margin = idle_margin
        self._append_time = append_time
        self._last_arrival = arrival
        self._last_at = broker.steady()  # while nothing has been fetched, time that has passed is time since the start
        self._head: Head | None = None

    def fed(self, arrival: int, part: Slice) -> None:
        """A slice was processed. `arrival`: the largest arrival time so far."""
        self._last_arrival = arrival
        self._last_at = part.fetched
        stamps = [batch for batch in part.batches if batch.timestamp_type == APPEND_TIME]
        if stamps:
            head = self._head
            first = stamps[0].base_offset == (head.offset if head is not None else None)
            if first and head is not None:
                self.broker.read(stamps[0].max_timestamp, part.fetched, head.sent)
            self.broker.read(stamps[-1].max_timestamp, part.fetched)

    def arrived(self) -> int:
        """The arrival time (epoch ms) of the last fetch, as far as it is certain to have passed."""
        known = self.broker.at(self._last_at) if self._append_time else None
        return self._last_arrival if known is None else max(self._last_arrival, known)

    def stepped(self, arrival: int, now: int) -> None:
        """Arrival time was set to another value."""
        self._last_arrival, self._last_at = arrival, now

    def latest_arrival(self, fetched: int) -> int:
        """The broker's time (epoch ms) of a fetch, at the latest: what it returned had arrived by then."""
        known = self.broker.latest(fetched)
        return now_ms() - (self.broker.steady() - fetched) if known is None else known

    def passed(self, head: Head) -> int | None:
        """The arrival time (epoch ms) that has passed, if a fetch at the end of the log was empty. None: it is not known.

        The time of the request counts, not that of the response: after a pause, an old response may still lie in the socket.
        """
        self._head = head
        if not self._append_time:  # this assumes that the producers' clock advances at the same pace as ours
            return head.sent - self._last_at + self._last_arrival - self.idle_margin
        known = self.broker.at(head.sent)
        return None if known is None else known - self.idle_margin


class IdleTimer:
    """Lets the idle closes of one partition show while its log is silent. It runs only at the end of the log."""

    def __init__(self, partition: int, engine: Engine, clock: TimerClock, markers: Markers | None) -> None:
        """With `markers`, records that are written to the log tell the time, and not empty fetches."""
        if markers is not None:
            clock.idle_margin = 0  # a marker's arrival is compared with no other clock
        self._partition = partition
        self._engine = engine
        self.clock = clock
        self.no_bar_before = 0  # see `FetchPace`
        self._markers = markers

    def fed(self, part: Slice, *, stepped: bool) -> None:
        """A slice was processed. `stepped`: it showed that a clock had been wrong before."""
        if stepped:
            self.clock.broker.forget()
            self._say_clock_was_wrong("a record")
        self.clock.fed(self._engine.arrival, part)
        if part.full:  # a worker that catches up is fetched without pauses, and the wheel may lie far behind the clock
            self.no_bar_before = 0
        else:
            self._look_ahead(self.clock.arrived(), part.fetched)

    def _look_ahead(self, arrived: int, steady: int) -> None:
        """Find out when the next bar is due. `arrived`: the arrival time that had passed at `steady`."""
        due = self._engine.scheduler.nothing_due_before(arrived + AHEAD_MS)
        self.no_bar_before = 0 if due == UNKNOWN or self._engine.replaying else steady + due - arrived

    async def turn(self, head: Head) -> bool:
        """Close the windows that are due by idling, or send a marker for them. Returns whether the clock had been wrong."""
        stepped = self._leave_wrong_clock(head.sent)
        passed = self.clock.passed(head)
        if passed is None:
            return stepped
        self._look_ahead(passed, head.sent)
        if self._markers is None:
            self._engine.advance_arrival(passed)
        elif not self._markers.on_its_way(head.offset) and self._engine.any_due(passed):
            await self._markers.send(passed)
        return stepped

    def _leave_wrong_clock(self, now: int) -> bool:
        known = self.clock.broker.at(now)
        if known is None or not self.clock.broker.certain or not self._engine.leave_wrong_clock(known):
            return False
        self.clock.stepped(self._engine.arrival, now)
        self._say_clock_was_wrong("the broker's clock")
        return True

    def _say_clock_was_wrong(self, source: str) -> None:
        log.warning(
            "partition %d: a clock was more than a minute ahead, the broker's or this machine's; arrival time goes on from "
            "%d (epoch ms), which %s says",
            self._partition,
            self._engine.arrival,
            source,
        )


def idle_timer(  # what it is made of
    settings: Settings,
    engine: Engine,
    broker: BrokerClock,
    markers: BatchProducer | None,
    partition: int,
    arrival: int,
    *,
    append_time: bool,
) -> IdleTimer:
    """The timer of one partition. `markers` writes them, see `Markers`. `arrival`: the largest arrival time so far, as stored.

    `append_time`: LogAppendTime input. Copies arrived when their records did in the sources, so only elapsed time is known.
    """
    stamped = append_time and not settings.repartition
    clock = TimerClock(broker, settings.idle_margin, arrival, append_time=stamped)
    written = None if markers is None else Markers(settings.input_topic, partition, markers, settings.app_id)
    return IdleTimer(partition, engine, clock, written)


def register(app: faust.App, tick_ms: int, turn: Callable[[], Awaitable[None]]) -> None:
    """Call `turn` every `tick_ms` milliseconds until the app stops. `turn` handles its own errors."""

    async def wheel() -> None:
        while not app.should_stop:
            await asyncio.sleep(tick_ms / 1_000)
            await turn()

    app.task(wheel)
