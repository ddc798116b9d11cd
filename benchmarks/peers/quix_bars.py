"""Bars of one minute with Quix Streams: a tumbling window, reduced, final once the stream time of the partition has passed.

Arguments: bootstrap servers, topic of ticks, topic of bars, group.
"""

import sys
from datetime import timedelta
from typing import Any

from quixstreams import Application

from benchmarks.peers.progress import Progress

WINDOW, GRACE = timedelta(minutes=1), timedelta(seconds=5)
Tick = dict[str, Any]
Bar = dict[str, Any]


def begin(tick: Tick) -> Bar:
    """The bar of a first tick, with the ranks of the ticks that made its open and its close."""
    bid, rank = tick["bid"], [tick["ts"], tick["seq"]]
    return {"open": bid, "high": bid, "low": bid, "close": bid, "ticks": 1, "first": rank, "last": rank}


def fold(bar: Bar, tick: Tick) -> Bar:
    """Fold one more tick. Open and close are those of the first and the last tick by (ts, seq)."""
    bid, rank = tick["bid"], [tick["ts"], tick["seq"]]
    if bid > bar["high"]:
        bar["high"] = bid
    elif bid < bar["low"]:
        bar["low"] = bid
    if rank >= bar["last"]:
        bar["close"], bar["last"] = bid, rank
    elif rank < bar["first"]:
        bar["open"], bar["first"] = bid, rank
    bar["ticks"] += 1
    return bar


def closed(window: dict[str, Any], key: str, *_: object) -> Bar:
    """The bar to publish."""
    bar = window["value"]
    prices = {name: bar[name] for name in ("open", "high", "low", "close")}
    return {"key": key, "start": window["start"], **prices, "ticks": bar["ticks"]}


def main(bootstrap: str, source: str, target: str, group: str) -> None:
    """Run until it is stopped."""
    progress = Progress()

    def processed(*_: object) -> None:
        progress.ticks += 1

    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        on_message_processed=processed,
        loglevel="WARNING",
    )
    ticks = app.topic(
        source, key_deserializer="str", value_deserializer="json", timestamp_extractor=lambda value, *_: value["ts"]
    )
    bars = app.topic(target, key_serializer="str", value_serializer="json")
    stream = app.dataframe(ticks)
    windows = stream.tumbling_window(WINDOW, grace_ms=GRACE).reduce(reducer=fold, initializer=begin)
    windows.final(closing_strategy="partition").apply(closed, metadata=True).to_topic(bars)
    progress.print()
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:5])
