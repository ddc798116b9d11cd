"""The worker's topics in every codec: the same bars, also where the codec changes from one start to the next."""

from __future__ import annotations

import asyncio

from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, produce, read

T0 = 1_399_248_000_000
CODES = {"none": 0, "snappy": 2, "lz4": 3, "zstd": 4}


def codecs(bootstrap: str, topic: str) -> set[int]:
    """The codecs of the batches of a topic's first partition."""

    async def look() -> set[int]:
        async with Reader(Cluster(bootstrap), frozenset({topic})) as reader:
            begin, end = await reader.bounds(topic, 0)
            return {getattr(batch, "compression_type", 0) for batch in [b async for b in reader.read(topic, 0, begin, end)]}

    return asyncio.run(look())


def test_bars_states_and_late_ticks_are_written_in_the_codec_and_read_again_in_every_other(pocket_worker: NewWorker) -> None:
    worker = pocket_worker(topic_partitions="1", grace="0s")
    name = "A|" + "a-symbol-with-a-name-that-is-worth-compressing" * 4
    minute, bars, seen = 0, 0, set[int]()
    for codec, code in CODES.items():
        worker.settings["compression"] = codec
        worker.start()
        ticks = [Tick(T0 + n * 60_000, name=name) for n in (minute, minute + 1)]
        produce(worker.bootstrap, worker.ticks_topic, ticks)
        minute, bars = minute + 1, bars + 1
        produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 - 60_000, name=name)] * 3)
        read(worker.bootstrap, worker.finals_topic, bars)
        worker.wait_checkpointed(5 * bars)
        worker.stop()
        seen.add(code)
        assert codecs(worker.bootstrap, worker.finals_topic) == seen
        assert codecs(worker.bootstrap, worker.late_topic) == seen
        assert code in codecs(worker.bootstrap, worker.changelog_topic)
    assert codecs(worker.bootstrap, worker.ticks_topic) == {CODES["none"]}
    sent = worker.run("send", worker.ticks_topic, '{"ts": 1, "note": "%s"}' % ("note" * 100), "--key", name)
    assert sent.returncode == 0, sent.stderr
    assert CODES["zstd"] in codecs(worker.bootstrap, worker.ticks_topic)
    found = read(worker.bootstrap, worker.finals_topic, bars)
    assert len(found) == bars
    assert [one.bar.ticks for one in found] == [1, 2, 2, 2]
