"""Ticks in other layouts give the bars of the default one, byte for byte. Late and rejected records are kept as they came."""

from __future__ import annotations

import json

import pytest

from tables.bars import encode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.integration.conftest import NewWorker
from tests.support.ticks import Seen, Tick, produce, read
from tests.support.worker import Worker
from tests.unit.model import Wire, take_finals

T0 = 1_399_248_000_000
# event time, bid, quantity, seq, symbol
TICKS = [
    (T0 + 100, "1.38690", "2", 1, "x"),
    (T0 + 59_000, "1.50", "0.5", 2, "x"),
    (T0 + 30_000, "1.10", "1", 3, "y.z"),
    (T0 + 10_000, "1.2", "1", 4, "x"),
    (T0 + 66_000, "1.6", "3", 5, "x"),  # closes the first minute
    (T0 + 5, "9.9", "1", 6, "x"),  # late
    (T0 + 140_000, "1.7", "1", 7, "y.z"),  # closes the second one; the third one stays open
]
Sent = tuple[bytes | None, dict[str, object]]


def own(ts: int, bid: str, qty: str, seq: int, symbol: str) -> Sent:
    """The default layout."""
    return f"A|{symbol}".encode(), {"ts": ts, "bid": bid, "qty": qty, "seq": seq}


def nested(ts: int, bid: str, qty: str, seq: int, symbol: str) -> Sent:
    """Other names, local times, keyed by the symbol alone."""
    minute, rest = divmod(ts - T0, 60_000)
    when = f"2014-05-04 20:{minute:02}:{rest / 1_000:06.3f}"
    return symbol.encode(), {"When": when, "trade": {"price": bid, "size": json.loads(qty)}, "bid": "not read", "n": seq}


def in_value(ts: int, bid: str, qty: str, seq: int, symbol: str) -> Sent:
    """Everything in the value, seconds with a fraction."""
    return None, {
        "t": ts / 1_000,
        "b": json.loads(bid) if seq > 3 else bid,
        "q": qty,
        "seq": seq,
        "i": {"venue": "A", "code": symbol},
    }


LAYOUTS = {
    nested: {
        "ticks_fields": "ts=When,bid=trade.price,qty=trade.size,seq=n,broker='A'",
        "ticks_key": "{symbol}",
        "ticks_zone": "America/New_York",
    },
    in_value: {
        "ticks_fields": "ts=t,bid=b,qty=q,seq=seq,broker=i.venue,symbol=i.code,heartbeat=i.beat",
        "ticks_key": "",
        "ticks_time_unit": "s",
    },
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_ticks_in_another_layout_give_the_same_bars(pocket_worker: NewWorker, layout: object) -> None:
    assert layout in {nested, in_value}
    made = nested if layout is nested else in_value
    worker = pocket_worker(topic_partitions="1", idle_close="off", **LAYOUTS[made]).start()
    sent = [Tick(key=key, value=json.dumps(value).encode()) for key, value in (made(*tick) for tick in TICKS)]
    produce(worker.bootstrap, worker.ticks_topic, [*sent, Tick(key=sent[0].key, value=b"{}")])
    worker.wait_checkpointed(len(sent) + 1)
    ticks = read(worker.bootstrap, worker.ticks_topic, len(sent) + 1)
    finals = read(worker.bootstrap, worker.finals_topic, 3)
    assert [bar.value for bar in finals] == by_default(ticks[:-1])
    assert [bar.key for bar in finals] == [b"A|x|%d" % T0, b"A|y.z|%d" % T0, b"A|x|%d" % (T0 + 60_000)]
    (late,) = read(worker.bootstrap, worker.late_topic, 1)
    assert (late.value, late.headers.get("source_key")) == (sent[5].value, sent[5].key)
    (rejected,) = read(worker.bootstrap, worker.rejected_topic, 1)
    assert (rejected.value, rejected.headers["reason"]) == (b"{}", b"missing")
    page_and_doctor_read_them(worker)
    commands_write_them_or_refuse(worker, heartbeats=made is in_value)


def by_default(sent: list[Seen]) -> list[bytes]:
    """The bars that the default layout gives for ticks that arrived when these did."""
    engine = Engine(EngineConfig(idle_close=False))
    records = [(own(*tick), seen) for tick, seen in zip(TICKS, sent, strict=True)]
    engine.feed(Wire(seen.offset, seen.timestamp, key, json.dumps(value).encode()) for (key, value), seen in records)
    return [encode_bar(bar) for bar in take_finals(engine)]


def page_and_doctor_read_them(worker: Worker) -> None:
    worker.wait(lambda: bool((worker.get("/api/v1/late") or {}).get("records")), "the read model has the late tick")
    (late,) = (worker.get("/api/v1/late") or {})["records"]
    assert (late["broker"], late["symbol"], late["ts"]) == ("A", "x", T0 + 5)
    findings = json.loads(worker.run("doctor", "--json").stdout)["findings"]
    (said,) = [item["text"] for item in findings if item["text"].startswith("of the newest")]
    assert said.startswith(f"of the newest {len(TICKS) + 1} ticks, 6 would be binned, 1 late, 1 rejected: ")
    assert "1 x missing, as in [0] offset 7: " in said


def commands_write_them_or_refuse(worker: Worker, *, heartbeats: bool) -> None:
    flushed = worker.run("flush", "--yes")
    if heartbeats:
        assert flushed.returncode == 0, flushed.stderr
        last = read(worker.bootstrap, worker.finals_topic, 4)[-1].bar
        assert (last.symbol, last.ticks, last.bucket_start) == ("y.z", 1, T0 + 120_000)
    else:
        assert (flushed.returncode, len(flushed.stderr.splitlines())) == (2, 1)
        assert "names no field for heartbeats" in flushed.stderr
        for command in (("replay", "nothing.csv"), ("reconcile",)):
            refused = worker.run(*command)
            assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
            assert "default layout" in refused.stderr
