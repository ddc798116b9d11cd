"""What is no tick lands in `ticks_rejected` with a reason and its source position, and the worker goes on."""

from __future__ import annotations

import pytest

from tests.integration.conftest import NewWorker
from tests.support.ticks import Seen, Tick, of, produce, read
from tests.support.worker import Worker

T0 = 1_399_248_000_000
KEY = b"A|x"
BAD: dict[str, tuple[bytes, bytes | None, bytes | None]] = {
    "not JSON": (b"json", KEY, b"hello"),
    "half a record": (b"json", KEY, b'{"ts": 1399248000000, "bid'),
    "no JSON number": (b"json", KEY, b'{"ts": 1399248000000, "bid": NaN}'),
    "an empty value": (b"empty", KEY, b""),
    "no value": (b"empty", KEY, None),
    "a list for a price": (b"type", KEY, b'{"ts": 1399248000000, "bid": [1]}'),
    "a number for a tick": (b"type", KEY, b"42"),
    "no price": (b"missing", KEY, b'{"ts": 1399248000000}'),
    "no time": (b"missing", KEY, b'{"bid": 1}'),
    "NaN": (b"price", KEY, b'{"ts": 1399248000000, "bid": "NaN"}'),
    "infinity": (b"price", KEY, b'{"ts": 1399248000000, "bid": "Infinity"}'),
    "minus infinity": (b"price", KEY, b'{"ts": 1399248000000, "bid": "-Infinity"}'),
    "a negative price": (b"price", KEY, b'{"ts": 1399248000000, "bid": -1.5}'),
    "a price of zero": (b"price", KEY, b'{"ts": 1399248000000, "bid": 0.00}'),
    "400 digits": (b"price", KEY, b'{"ts": 1399248000000, "bid": ' + b"7" * 400 + b"}"),
    "zeros behind the decimal point": (b"price", KEY, b'{"ts": 1399248000000, "bid": 1.' + b"0" * 900_000 + b"}"),
    "a negative quantity": (b"qty", KEY, b'{"ts": 1399248000000, "bid": 1, "qty": -1}'),
    "a symbol that disagrees": (b"key", KEY, b'{"ts": 1399248000000, "bid": 1, "symbol": "y"}'),
    "a broker that disagrees": (b"key", KEY, b'{"ts": 1399248000000, "bid": 1, "broker": "B"}'),
    "no key": (b"key", None, b'{"ts": 1399248000000, "bid": 1}'),
    "a name with a bar": (b"key", b"A|x|y", b'{"ts": 1399248000000, "bid": 1}'),
    "a name with a line break": (b"key", b"A|x\n", b'{"ts": 1399248000000, "bid": 1}'),
    "a long name": (b"key", b"A|" + b"x" * 60_000, b'{"ts": 1399248000000, "bid": 1}'),
    "a key that is not UTF-8": (b"key", b"\xff\xfe|x", b'{"ts": 1399248000000, "bid": 1}'),
    "seconds for milliseconds": (b"ts", KEY, b'{"ts": 1399248000, "bid": 1}'),
    "a date for a time": (b"ts", KEY, b'{"ts": "2014-05-05", "bid": 1}'),
    "far in the future": (b"future", KEY, b'{"ts": 4102444800000, "bid": 1}'),
    "a heartbeat far in the future": (b"future", KEY, b'{"ts": 4102444800000, "heartbeat": true}'),
    "nearly a megabyte": (b"json", KEY, b"x" * 1_000_000),
}


@pytest.fixture(scope="module")
def sent(module_worker: NewWorker) -> tuple[Worker, dict[str, int], list[Seen]]:
    """The worker, the offset of each bad record, and `ticks_rejected` after it: good ticks lie between the bad records."""
    worker = module_worker(topic_partitions="2").start()
    good = [Tick(T0 + number, f"1.{number}") for number in range(len(BAD) + 1)]
    records = [good[0]]
    for tick, (_, key, value) in zip(good[1:], BAD.values(), strict=True):
        records += [Tick(key=key, value=value), tick]
    offsets = produce(worker.bootstrap, worker.ticks_topic, [*records, Tick(T0 + 65_000)], partition=1)
    worker.wait_read(len(offsets))
    rejected = read(worker.bootstrap, worker.rejected_topic, len(BAD))
    return worker, dict(zip(BAD, offsets[1::2], strict=False)), rejected


@pytest.mark.parametrize("what", BAD)
def test_a_bad_record_is_kept_with_its_reason_and_its_position(
    sent: tuple[Worker, dict[str, int], list[Seen]], what: str
) -> None:
    worker, offsets, rejected = sent
    reason, key, value = BAD[what]
    position = f"{worker.ticks_topic}|1|{offsets[what]}".encode()
    (found,) = [seen for seen in rejected if seen.key == position]
    assert found.headers["reason"] == reason
    assert found.headers["detail"]
    assert found.headers.get("source_key") == key
    assert (found.partition, found.value or b"") == (1, value or b"")


def test_the_worker_goes_on_and_counts_every_record_once(
    sent: tuple[Worker, dict[str, int], list[Seen]],
) -> None:
    worker, _, rejected = sent
    assert len(rejected) == len(BAD)
    (bar,) = of(read(worker.bootstrap, worker.finals_topic, 1), "A")
    assert (bar.ticks, bar.bucket_start, str(bar.open), str(bar.close)) == (
        len(BAD) + 1,
        T0,
        "1.0",
        f"1.{len(BAD)}",
    )
    total = worker.total()
    assert (total["rejected"], total["binned"], total["late"]) == (len(BAD), len(BAD) + 2, 0)
    worker.stop()
    assert len(read(worker.bootstrap, worker.rejected_topic)) == len(BAD)
