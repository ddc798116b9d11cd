"""One run of the demo: send the market, read the bars and the worker's counters, until everything is accounted for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp

from agents.topics import ensure
from app.demo.host import Host
from app.demo.market import Record, market
from app.demo.view import Progress
from app.errors import BarwheelError
from app.finals import BarQuery, follow_bars, topic_consumer
from app.tickfiles.feed import Feed

# The market is older than the demo: its windows have ended when the worker is up, and the first bar need not wait for an end.
BEFORE_MS = 10_000
SILENT_AFTER_MS = 6_000  # of sending as it comes
_SEND_EVERY = 0.05  # seconds
_ASK_EVERY = 0.5  # seconds
_SETTLE = 60.0  # seconds the worker has to read and close everything that was sent


class Session:
    """Market, worker and readers, side by side; `state` collects what is known of them.

    `show` is called whenever `state` may have changed, `report` once with whether everything adds up.
    """

    def __init__(self, host: Host, state: Progress, show: Callable[[], None], report: Callable[[bool], None]) -> None:
        self.state = state
        self._host, self._show, self._report = host, show, report

    async def run(self, seconds: float, stop: asyncio.Event, *, once: bool) -> bool | None:
        """Send the market for `seconds`, report, and unless `once` go on until `stop` is set.

        Gives whether everything adds up, None if stopped. Broker and worker have ended when it returns. Raises
        `WorkerDiedError` if the worker ends by itself.
        """
        with self._host as host:
            topics = await ensure(host.settings, host.cluster)
            ticks = host.settings.ticks_topic
            source = topics.states[ticks]
            async with Feed(host.cluster, ticks, source.partitions, max_batch=source.max_message_bytes) as feed:
                return await self._race(self._send_market(feed, seconds, once=once), stop)

    async def _race(self, sending: Coroutine[Any, Any, bool], stop: asyncio.Event) -> bool | None:
        """Run the readers until `sending` is done or `stop` is set; raises the first error of any of them."""
        sender = asyncio.create_task(sending)
        readers = [asyncio.create_task(self._read_bars()), asyncio.create_task(self._read_accounting())]
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([sender, *readers, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in (*readers, sender):
                if task.done():
                    task.result()  # raises the task's error
            return sender.result() if sender.done() else None
        finally:
            for task in (sender, *readers, stopped):
                task.cancel()
            await asyncio.gather(sender, *readers, stopped, return_exceptions=True)

    async def _send_market(self, feed: Feed, seconds: float, *, once: bool) -> bool:
        began = _now_ms() - BEFORE_MS
        silent = BEFORE_MS + SILENT_AFTER_MS
        records = market(self.state.seed, began, count=self.state.symbols, silent_after_ms=silent)
        await self._send(feed, records, time.monotonic() + seconds)
        # Nothing is sent from here on: elapsed time alone has to close the last windows.
        until = time.monotonic() + _SETTLE
        while not self._settled() and time.monotonic() < until:
            await asyncio.sleep(_SEND_EVERY)
            self._show()
        adds_up = all(self.state.checks().values()) and self.state.silent_bar is not None
        self._report(adds_up)
        if not once:
            await self._send(feed, market(self.state.seed + 1, _now_ms(), count=self.state.symbols), None)
        return adds_up

    def _settled(self) -> bool:
        state = self.state
        return state.caught_up and sum(bar.ticks for bar in state.bars.values()) >= state.counters.get("binned", 0)

    async def _send(self, feed: Feed, records: Iterator[Record], until: float | None) -> None:
        """Send each record at its time; `until` is on the monotonic clock, None for ever."""
        for record in records:
            while record.at_ms > _now_ms():
                await feed.flush(everything=True)
                self._show()
                await asyncio.sleep(_SEND_EVERY)
            if until is not None and time.monotonic() > until:
                break
            feed.put(record.key, record.value)
            self.state.sent[record.kind] += 1
        await feed.settle()

    async def _read_bars(self) -> None:
        settings = self._host.settings
        async with topic_consumer(self._host.cluster, settings.finals_topic) as consumer:
            if consumer is None:
                raise BarwheelError(f"topic {settings.finals_topic} does not exist")
            async for bars in follow_bars(consumer, BarQuery(settings.app_id)):
                self.state.take_bars([bar for _, bar in bars])

    async def _read_accounting(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                self.state.take_accounting(await self._host.accounting(session))
                await asyncio.sleep(_ASK_EVERY)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
