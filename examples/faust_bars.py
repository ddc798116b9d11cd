"""Log final bars with Faust.

Run: BROKER=localhost:9092 TOPIC=bar_1m_final faust -A examples.faust_bars worker -l info
"""

import json
import logging
import os
from decimal import Decimal

import faust

app = faust.App(
    "my-faust-bars",
    broker=f"kafka://{os.environ.get('BROKER', 'localhost:9092')}",
    store="memory://",
    topic_disable_leader=True,
    web_enabled=False,
)
bars = app.topic(
    os.environ.get("TOPIC", "bar_1m_final"),
    key_type=bytes,
    value_type=bytes,
    key_serializer="raw",
    value_serializer="raw",  # Faust's JSON codec makes floats of prices
)
log = logging.getLogger(__name__)


@app.agent(bars)
async def show(stream: faust.StreamT[bytes]) -> None:
    """Log each bar."""
    async for value in stream:
        bar = json.loads(value, parse_float=Decimal)
        log.info("%s %s %s %s %s", bar["broker"], bar["symbol"], bar["bucket_start"], bar["close"], bar["ticks"])
