"""What Faust's documentation shows: a Record, an agent, and a tumbling table, sent when windows close."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Any

import faust

from benchmarks.subjects.fold import Marks
from benchmarks.synthetic_ticks import PARTITIONS

SOURCE_ARGUMENTS = 5  # bootstrap, app id, topic, number of ticks


class Tick(faust.Record, serializer="json"):
    """One quote."""

    ts: int
    bid: float
    ask: float
    seq: int


class Bar(faust.Record, serializer="json"):
    """One minute of bids."""

    start: float
    open: float
    high: float
    low: float
    close: float
    ticks: int


def build(bootstrap: str, app_id: str, topic: str, total: int) -> faust.App:
    """The application; it reads `topic` from its beginning."""
    app = faust.App(
        app_id,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        web_enabled=False,
        autodiscover=False,
    )
    ticks = app.topic(topic, key_type=str, key_serializer="raw", value_type=Tick)
    # internal: Faust creates it
    finals = app.topic(
        f"{app_id}-bars",
        key_type=str,
        key_serializer="raw",
        value_type=Bar,
        partitions=PARTITIONS,
        internal=True,
    )
    marks = Marks(total)

    async def closed(key: Any, bar: list[float]) -> None:
        name, (start, _) = key
        await finals.send(
            key=name,
            value=Bar(start=start, open=bar[0], high=bar[1], low=bar[2], close=bar[3], ticks=int(bar[4])),
        )

    bars = (
        app.Table(f"{app_id}-ohlc", default=list, partitions=PARTITIONS, on_window_close=closed)
        .tumbling(timedelta(minutes=1), expires=timedelta(minutes=1, seconds=5))
        # a public method that the protocol class lacks
        .relative_to(lambda event: event.value.ts / 1_000)  # type: ignore[attr-defined]
    )

    @app.agent(ticks)
    async def fold(stream: AsyncIterable[Tick]) -> None:
        async for key, tick in stream.items():  # type: ignore[attr-defined]  # Faust annotates the bare protocol
            bid = tick.bid
            bar = bars[key].value()
            bars[key] = [bar[0], max(bar[1], bid), min(bar[2], bid), bid, bar[4] + 1] if bar else [bid, bid, bid, bid, 1]
            marks.add(1)

    return app


if __name__ == "__main__":
    if len(sys.argv) != SOURCE_ARGUMENTS:
        raise SystemExit("usage: idiomatic_faust BOOTSTRAP APP_ID TOPIC TICKS")
    program, bootstrap_servers, name, source, number = sys.argv
    built = build(bootstrap_servers, name, source, int(number))
    sys.argv = [program, "worker", "-l", "warn", "--without-web"]
    built.main()
