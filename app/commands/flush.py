"""`app flush`: close the open windows now, by heartbeats in the input, so that the bars stay a function of the topic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from faust.cli.base import argument, option

from agents.recovery import Recovered, recover
from agents.task import engine_config
from agents.topics import look
from app.commands import base
from app.errors import TopicsError
from app.kafka.reader import Reader
from app.settings import Settings
from app.tickfiles import rows
from app.tickfiles.feed import Feed
from tables.engine import Engine

if TYPE_CHECKING:
    import faust


@dataclass(frozen=True)
class Open:
    """What one heartbeat closes: the windows of a scope. Times are epoch ms."""

    partition: int
    key: bytes  # of a symbol in the scope
    windows: int
    closes: int  # the event time that closes the last of them


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("broker_name", required=False),
        option("--yes", is_flag=True, default=False, show_default=False, help="Do it; else only show what it would close."),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def flush(self: base.BarwheelCommand, *, broker_name: str | None, yes: bool, as_json: bool) -> int:  # noqa: ARG001 - Faust passes itself
        """Close the open windows now instead of when they are due: of one broker, or of all.

        It puts heartbeats into the input, so a running worker, or the next one, publishes the bars at once. Ticks of
        these windows that come afterwards are late. Windows are open as of the last checkpoint. Exit code 1 where some
        end too far in the future (max_future) to be closed yet.

        \b
        Example:
          app flush
          app flush OANDA --yes
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), broker_name, yes=yes, as_json=as_json)


async def run(settings: Settings, broker: str | None, *, yes: bool, as_json: bool) -> int:
    """Look, send, report; raises `TopicsError` without an input and `StateError` where the stored state does not fit."""
    cluster = await base.reach(settings)
    report = await look(settings, cluster)
    if settings.ticks_topic not in report.states or settings.changelog_topic not in report.states:
        raise TopicsError(f"{settings.ticks_topic} or {settings.changelog_topic} does not exist: no worker has run yet")
    found: list[Open] = []
    topics = frozenset({settings.ticks_topic, settings.finals_topic, settings.changelog_topic})
    async with Reader(cluster, topics) as reader:
        for number in range(report.partitions):
            recovered = await recover(reader, settings, number, report.partitions)
            found += open_windows(settings, recovered, number, broker)
    latest = time.time_ns() // 1_000_000 + settings.max_future
    now = [one for one in found if one.closes <= latest]
    if yes and now:
        async with Feed(cluster, settings.ticks_topic, report.partitions) as feed:
            for one in now:
                ts = rows.from_ms(one.closes, settings.time_unit.value)
                if feed.put(one.key, b'{"ts":%d,"heartbeat":true}' % ts, partition=one.partition):
                    await feed.flush()
    ahead = [one for one in found if one.closes > latest]
    _report(now, ahead, settings, sent=yes, as_json=as_json)
    return 1 if ahead else 0


def open_windows(settings: Settings, found: Recovered, number: int, broker: str | None) -> Iterator[Open]:
    """The scopes of one partition with windows that are open, as recovery would take them up."""
    engine, position = Engine(engine_config(settings), found.position.next_offset), found.position
    engine.restore(position.counters, position.arrival, position.scopes, found.states, found.tail)
    scopes: dict[int, list[tuple[int, bytes]]] = {}
    for key, symbol in engine.symbols.items():
        if broker is None or symbol.name[0] == broker:
            scopes.setdefault(id(symbol.scope), []).extend((window.end, key) for window in symbol.windows())
    for ends in scopes.values():
        if ends:
            end, key = max(ends)
            yield Open(number, key, len(ends), end + settings.grace)


def _report(now: list[Open], ahead: list[Open], settings: Settings, *, sent: bool, as_json: bool) -> None:
    windows, left = (sum(one.windows for one in part) for part in (now, ahead))
    if as_json:
        scopes = [{**asdict(one), "key": one.key.decode()} for one in now]
        base.out_json({"sent": sent, "windows": windows, "too_far_ahead": left, "scopes": scopes})
        return
    if sent:
        base.out(f"{len(now)} heartbeats sent to {settings.ticks_topic}: they close {windows} windows")
    else:
        base.out(f"{windows} windows are open and can be closed now (nothing was sent: --yes does it)")
    if ahead:
        base.out(
            f"{left} windows end more than max_future={settings.text_of('max_future')} ahead of now: "
            "a heartbeat for them would be rejected, run this again later"
        )
