"""`app demo`: a synthetic market through a real worker, on its own pocket broker, until Ctrl-C or `--once`."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import aiohttp
from faust.cli.base import option
from rich.live import Live

from agents.task import now_ms
from app.commands import base
from app.demo.host import Host, demo_settings
from app.demo.market import Record, market
from app.demo.view import Progress, as_data, line, summary, title
from app.errors import BarwheelError, InputError
from app.finals import BarQuery, topic_consumer
from app.kafka.topics import ensure
from app.settings import Settings
from app.tickfiles.feed import Feed

if TYPE_CHECKING:
    import faust

INTERRUPTED = 130  # as shells have it
_FEED_EVERY = 0.05  # seconds
_ASK_EVERY = 0.5  # seconds
_SETTLE = 60.0  # seconds the worker has to read and close all that was sent


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--once", is_flag=True, default=False, show_default=False, help="End by itself, exit code 0 if all adds up."),
        option("--seconds", type=float, default=15.0, help="How long to feed before the result is shown."),
        option("--symbols", type=int, default=300, help="Symbols of the synthetic market."),
        option("--seed", type=int, default=1, help="The market is the same for the same seed."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def demo(
        self: base.BarwheelCommand,  # noqa: ARG001
        *,
        once: bool,
        seconds: float,
        symbols: int,
        seed: int,
        as_json: bool,
    ) -> int:
        """Feed a synthetic market to a worker and show its bars and the accounting.

        It brings its own broker and keeps its files in .barwheel/demo. Exit code 1 where the accounting does not add up.

        \b
        Example:
          app demo
          app demo --once --json
        """  # noqa: D301 - click reads \b
        if not 3 <= symbols <= 100_000:  # noqa: PLR2004 - one a broker
            raise InputError(f"--symbols {symbols}: must lie between 3 and 100000")
        if not 10 <= seconds <= 3_600:  # noqa: PLR2004 - two windows and the silence
            raise InputError(f"--seconds {seconds:g}: must lie between 10 and 3600")
        return await Demo(Settings.load(), seed, symbols, seconds, once=once, as_json=as_json).run()


class Demo:
    """One run: feed, reader of the bars and questions to the worker, side by side."""

    def __init__(self, user: Settings, seed: int, symbols: int, seconds: float, *, once: bool, as_json: bool) -> None:
        self.once, self.as_json, self.seconds = once, as_json, seconds
        self.host = Host(demo_settings(user))
        self.state = Progress(self.host.settings, seed, symbols, self.host.web)
        self.console = base.console(stderr=as_json)
        self._ended = asyncio.Event()

    async def run(self) -> int:
        """Give the exit code; every process that was started is gone when it returns."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        base.say(title(self.state))
        with self.host:
            report = await ensure(self.host.settings, self.host.cluster)
            self.host.start_worker()
            topic = self.host.settings.ticks_topic
            async with (
                Feed(self.host.cluster, topic, report.partitions) as feed,
                aiohttp.ClientSession() as session,
            ):
                return await self._watch(feed, session)

    async def _watch(self, feed: Feed, session: aiohttp.ClientSession) -> int:
        """Feed and look until the result is there; then, unless `--once`, go on until somebody wants to leave."""
        looking = [asyncio.create_task(self._read_bars()), asyncio.create_task(self._ask(session))]
        leaving = asyncio.create_task(self._ended.wait())
        result = asyncio.create_task(self._result(feed))
        try:
            await asyncio.wait([*looking, leaving, result], return_when=asyncio.FIRST_COMPLETED)
            for task in (*looking, result):
                if task.done():
                    task.result()  # raises what it ended by
            if result.done():
                return result.result()
            return INTERRUPTED if self.once else 0  # Ctrl-C is how the other form ends
        finally:
            for task in (*looking, leaving, result):
                task.cancel()
            await asyncio.gather(*looking, leaving, result, return_exceptions=True)

    async def _result(self, feed: Feed) -> int:
        records = market(self.state.seed, now_ms(), count=self.state.symbols)
        with self._progress() as live:
            await self._send(feed, records, time.monotonic() + self.seconds, live)
            # nothing more is sent until every window has closed, the last ones by elapsed time alone
            until = time.monotonic() + _SETTLE
            while not self._settled() and time.monotonic() < until:
                await asyncio.sleep(_FEED_EVERY)
                self._show(live)
        ok = all(self.state.checks().values()) and self.state.silent_bar is not None
        if self.as_json:
            base.out_json(as_data(self.state, ok=ok))
        else:
            self.console.print(summary(self.state, self.console))
        if self.once:
            return 0 if ok else 1
        base.say(f"the worker goes on at {self.state.web}; end with Ctrl-C")
        await self._send(feed, market(self.state.seed + 1, now_ms(), count=self.state.symbols), None, None)
        return 0

    def _settled(self) -> bool:
        state = self.state
        return state.caught_up and sum(bar.ticks for bar in state.bars.values()) >= state.counters.get("binned", 0)

    async def _send(self, feed: Feed, records: Iterator[Record], until: float | None, live: Live | None) -> None:
        """Send each record when its time has come; `until` is on the monotonic clock, None for ever."""
        for record in records:
            while record.at_ms > now_ms():
                await feed.flush(everything=True)
                self._show(live)
                await asyncio.sleep(_FEED_EVERY)
            if until is not None and time.monotonic() > until:
                break
            feed.put(record.key, record.value)
            self.state.sent[record.kind] += 1
        await feed.settle()

    async def _read_bars(self) -> None:
        settings = self.host.settings
        query = BarQuery(settings.app_id)
        async with topic_consumer(self.host.cluster, settings.finals_topic) as consumer:
            if consumer is None:
                raise BarwheelError(f"{settings.finals_topic} is not there")
            while True:
                for found in (await consumer.getmany(timeout_ms=200)).values():
                    self.state.take_bars(bar for record in found if (bar := query.match(record)) is not None)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        while True:
            self.state.take_accounting(await self.host.accounting(session))
            await asyncio.sleep(_ASK_EVERY)

    def _progress(self) -> Live:
        return Live(line(self.state), console=base.progress, transient=True, refresh_per_second=8)

    def _show(self, live: Live | None) -> None:
        if live is not None:
            live.update(line(self.state))
