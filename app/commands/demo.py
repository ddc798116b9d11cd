"""`app demo`: a synthetic market through a real worker, on its own pocket broker, until Ctrl-C or `--once`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import aiohttp
from faust.cli.base import option
from rich.live import Live

from app.commands import base
from app.commands.bars import Wanted, reader
from app.commands.demo_host import Host, demo_settings
from app.commands.demo_view import Progress, as_data, console, line, summary, title
from app.commands.feed import Feed
from app.errors import BarwheelError, InputError
from app.market import Record, market
from app.settings import Settings
from app.topics import ensure

if TYPE_CHECKING:
    import faust

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
        self: base.BarwheelCommand, *, once: bool, seconds: float, symbols: int, seed: int, as_json: bool  # noqa: ARG001
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
        self.console = console(as_json=as_json)
        self._feeding, self._ended = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        """Give the exit code; every process that was started is gone when it returns."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        base.say(title(self.state))
        with self.host:
            report = await ensure(self.host.settings, self.host.bootstrap)
            self.host.start_worker()
            async with Feed(self.host.bootstrap, self.host.settings.ticks_topic, report.partitions) as feed:
                return await self._watch(feed)

    async def _watch(self, feed: Feed) -> int:
        self._feeding.set()
        work = [self._feed(feed), self._read(), self._ask(), self._result()]
        tasks = [asyncio.create_task(w) for w in work]
        stop = asyncio.create_task(self._ended.wait())
        try:
            # the result is there, somebody wants to leave, or something failed
            await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_EXCEPTION if False else asyncio.FIRST_COMPLETED)
            return 0
        finally:
            for task in [*tasks, stop]:
                task.cancel()
