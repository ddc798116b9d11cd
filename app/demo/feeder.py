"""Sends the synthetic market to the broker of the user's own settings, for as long as it is let."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agents.topics import ensure
from app.demo.market import market
from app.errors import InputError
from app.kafka.cluster import Cluster
from app.settings import Settings
from app.tickfiles.feed import Feed

SEND_EVERY = 0.05  # seconds


def check_feedable(settings: Settings) -> None:
    """Raise `InputError` if a worker with these settings would not read what is sent."""
    if settings.layout.changed:
        raise InputError(f"{settings.layout.changed}: app demo --feed sends ticks in the default layout")
    if settings.sources.one is None:
        raise InputError(f"ticks_topic={settings.ticks_topic}: app demo --feed sends to one topic")


async def feed_market(
    settings: Settings,
    cluster: Cluster,
    seed: int,
    symbols: int,
    seconds: float | None,
    stop: asyncio.Event,
    *,
    say: Callable[[str], None],
) -> int:
    """Send the market until `stop` is set, or for `seconds`; returns how many records were sent. Missing topics are created."""
    source = (await ensure(settings, cluster)).states[settings.ticks_topic]
    until = None if seconds is None else time.monotonic() + seconds
    async with Feed(cluster, settings.ticks_topic, source.partitions, max_batch=source.max_message_bytes) as feed:
        say(f"a SYNTHETIC market (seed {seed}), {symbols} symbols, goes to {settings.ticks_topic} on {cluster}")
        for record in market(seed, _now_ms(), count=symbols):
            while record.at_ms > _now_ms():
                await feed.flush(everything=True)
                if stop.is_set() or (until is not None and time.monotonic() > until):
                    return feed.sent
                await asyncio.sleep(SEND_EVERY)
            feed.put(record.key, record.value)
    return 0  # the market has no end


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
