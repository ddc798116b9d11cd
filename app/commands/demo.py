"""`app demo`: a synthetic market, a real worker and its own pocket broker, until Ctrl-C or, with `--once`, the result."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from faust.cli.base import option
from rich.live import Live

from app.commands import base
from app.demo.feeder import check_feedable, feed_market
from app.demo.host import Host, demo_settings
from app.demo.session import Session
from app.demo.view import Progress, as_data, summary, title, view
from app.errors import InputError
from app.settings import Settings

if TYPE_CHECKING:
    import faust

DEFAULT_SECONDS = 15.0
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--once", is_flag=True, default=False, show_default=False,
            help="Exit after the result, 0 if everything adds up."),
        option("--feed", is_flag=True, default=False, show_default=False,
            help="Only send the market, to ticks_topic of your own settings, until Ctrl-C or --seconds."),
        option("--seconds", type=float, default=None, help="How long to send ticks before the result (15)."),
        option("--symbols", type=int, default=300, help="Symbols of the synthetic market."),
        option("--seed", type=int, default=1, help="The same seed gives the same market."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def demo(
        self: base.BarwheelCommand,  # noqa: ARG001
        *,
        once: bool,
        feed: bool,
        seconds: float | None,
        symbols: int,
        seed: int,
        as_json: bool,
    ) -> int:
        """Send a synthetic market to a worker and show its bars as they come.

        Broker and worker are started for the demo; files are in .barwheel/demo. The result compares what was sent with
        what the worker counted and published. Exit code 1 if something does not add up.

        \b
        Example:
          app demo
          app demo --once --json
          BARWHEEL_BROKER=kafka://host:9092 app demo --feed
        """  # noqa: D301 - click reads \b
        if not 3 <= symbols <= 100_000:  # noqa: PLR2004 - one symbol per broker at least
            raise InputError(f"--symbols {symbols}: must be between 3 and 100000")
        if feed and (once or as_json):
            raise InputError("--feed shows no result: leave out --once and --json")
        if feed:
            return await run_feed(Settings.load(), seed, symbols, seconds)
        seconds = DEFAULT_SECONDS if seconds is None else seconds
        if not 10 <= seconds <= 3_600:  # noqa: PLR2004 - time for two windows and for the silent symbol
            raise InputError(f"--seconds {seconds:g}: must be between 10 and 3600")
        return await run(Settings.load(), seed, symbols, seconds, once=once, as_json=as_json)


async def run_feed(settings: Settings, seed: int, symbols: int, seconds: float | None) -> int:
    """Send the market to the broker of these settings; gives the exit code."""
    if seconds is not None and seconds <= 0:
        raise InputError(f"--seconds {seconds:g}: must be more than 0")
    check_feedable(settings)
    cluster, stop = await base.reach(settings), _stopped_by_signals()
    sent = await feed_market(settings, cluster, seed, symbols, seconds, stop, say=base.say)
    base.say(f"{sent} records sent")
    return 0


def _stopped_by_signals() -> asyncio.Event:
    """An event that Ctrl-C, SIGTERM and SIGHUP set."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


async def run(user: Settings, seed: int, symbols: int, seconds: float, *, once: bool, as_json: bool) -> int:
    """Show a session as it goes and its result; gives the exit code."""
    stop = _stopped_by_signals()
    host = Host(demo_settings(user))
    state = Progress(host.settings, seed, symbols, host.web)
    base.say(f"the page: {state.web} (in a few seconds)")
    base.say(title(state))
    live = Live(view(state, base.progress), console=base.progress, transient=True, refresh_per_second=8)

    def report(adds_up: bool) -> None:  # noqa: FBT001 - called with its only argument
        live.stop()
        if as_json:
            base.out_json(as_data(state, ok=adds_up))
        else:
            console = base.console()
            console.print(summary(state, console))
        if not once:
            base.say(f"the worker goes on at {state.web}; end with Ctrl-C")

    with live:
        adds_up = await Session(host, state, lambda: live.update(view(state, base.progress)), report).run(
            seconds, stop, once=once
        )
    if adds_up is None:
        return INTERRUPTED if once else 0
    return 0 if adds_up else 1
