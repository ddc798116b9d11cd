"""`app flush`: close open windows before they are due."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from faust.cli.base import argument, option

from agents.topics import look
from app.commands import base
from app.operations.flush import OpenScope, close_scopes, open_scopes
from app.settings import Settings

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("broker_name", required=False),
        option("--yes", is_flag=True, default=False, show_default=False, help="Close them; without it they are only counted."),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def flush(self: base.BarwheelCommand, *, broker_name: str | None, yes: bool, as_json: bool) -> int:  # noqa: ARG001 - Faust passes itself
        """Close the open windows now, of one broker or of all.

        Sends heartbeats to the input topic, so that a running worker, or the next one, publishes the bars at once. Later
        ticks of these windows are late. Open windows are read from the last checkpoint. Exit code 1 if some windows
        have not ended yet: nothing closes a window before its end.

        \b
        Example:
          app flush
          app flush OANDA --yes
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), broker_name, yes=yes, as_json=as_json)


async def run(settings: Settings, broker: str | None, *, yes: bool, as_json: bool) -> int:
    """Find the open windows, close them with `yes`, report; returns 1 if some have not ended yet, otherwise 0."""
    cluster = await base.reach(settings)
    topics = await look(settings, cluster)
    scopes = await open_scopes(settings, cluster, topics, broker)
    latest = time.time_ns() // 1_000_000 + min(settings.grace, settings.max_future)  # what a heartbeat of now can do
    now, ahead = ([scope for scope in scopes if (scope.closes <= latest) is due] for due in (True, False))
    if yes and now:
        await close_scopes(settings, cluster, topics, now)
    _report(now, ahead, settings, sent=yes, as_json=as_json)
    return 1 if ahead else 0


def _report(now: list[OpenScope], ahead: list[OpenScope], settings: Settings, *, sent: bool, as_json: bool) -> None:
    windows, left = (sum(scope.windows for scope in part) for part in (now, ahead))
    if as_json:
        scopes = [{**asdict(scope), "key": scope.key.decode()} for scope in now]
        base.out_json({"sent": sent, "windows": windows, "too_far_ahead": left, "scopes": scopes})
        return
    if sent:
        base.out(f"{len(now)} heartbeats sent to {settings.input_topic}: they close {windows} windows")
    else:
        base.out(f"{windows} windows are open and can be closed now (nothing was sent: --yes closes them)")
    if ahead:
        base.out(
            f"{left} windows have not ended yet, or their end + grace is more than max_future={settings.text_of('max_future')} "
            "ahead of now: no heartbeat closes them yet; run this again later"
        )
