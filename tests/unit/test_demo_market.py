"""The synthetic market: the same for the same seed, and as bad as it says it is."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile

import orjson
import pytest

from app.demo.market import BREAKERS, DISORDER_MS, LATE_MS, NORTH, SILENT, SKEW_MS, SOUTH, Kind, Record, market, symbols
from tables.config import EngineConfig
from tables.engine import Engine
from tests.unit.model import Wire

START = 1_800_000_000_000
CONFIG = EngineConfig(window_size=5_000, grace=1_000)  # as the demo has it


def first(seconds: int, seed: int = 1, count: int = 60) -> list[Record]:
    until = START + seconds * 1000
    return list(takewhile(lambda record: record.at_ms < until, market(seed, START, count=count)))


def test_the_same_seed_gives_the_same_records_and_another_seed_others() -> None:
    assert first(5) == first(5)
    assert first(5) != first(5, seed=2)


def test_records_come_in_the_order_they_are_to_be_sent() -> None:
    times = [record.at_ms for record in first(20)]
    assert times == sorted(times)
    assert times[0] >= START


@pytest.mark.parametrize("count", [3, 4, 60, 300])
def test_it_has_as_many_symbols_as_asked_and_three_brokers(count: int) -> None:
    pairs = symbols(count)
    assert len(set(pairs)) == count
    assert len({broker for broker, _ in pairs}) == 3


def test_every_kind_of_trouble_is_in_it() -> None:
    kinds = Counter(record.kind for record in first(60))
    assert set(kinds) == set(Kind)
    assert kinds[Kind.tick] > sum(kinds[kind] for kind in (Kind.disorder, Kind.crossed, Kind.late, Kind.broken))


def test_the_silent_symbol_is_alone_at_its_broker_and_falls_silent() -> None:
    records = [record for record in first(30) if record.broker == SILENT[0]]
    assert records
    assert {(record.broker, record.symbol) for record in records} == {SILENT}
    assert max(record.at_ms for record in records) < START + 6_000


def test_event_times_are_as_far_off_as_their_kind_says() -> None:
    for record in first(60):
        if record.kind is Kind.broken:
            continue
        clock = record.at_ms + (SKEW_MS if record.broker == SOUTH else 0)
        behind = clock - orjson.loads(record.value)["ts"]
        assert (behind >= LATE_MS) == (record.kind is Kind.late)
        assert record.kind is Kind.late or 0 <= behind <= DISORDER_MS


def test_a_crossed_quote_has_its_bid_above_its_ask() -> None:
    for record in first(60):
        if record.kind in (Kind.tick, Kind.crossed):
            quote = orjson.loads(record.value)
            assert (quote["bid"] > quote["ask"]) == (record.kind is Kind.crossed)


def test_only_a_broker_that_never_falls_silent_sends_heartbeats() -> None:
    assert {record.broker for record in first(20) if record.kind is Kind.heartbeat} == {NORTH}


def test_the_engine_finds_every_record_to_be_what_the_market_says() -> None:
    records = first(40)
    engine = Engine(CONFIG)
    engine.feed([Wire(offset, record.at_ms, record.key, record.value) for offset, record in enumerate(records)])
    sent, found = Counter(record.kind for record in records), engine.counters
    assert found.rejected == sent[Kind.broken]
    assert found.late == sent[Kind.late]
    assert found.heartbeats == sent[Kind.heartbeat]
    assert found.binned == sum(sent[kind] for kind in (Kind.tick, Kind.disorder, Kind.crossed))


@pytest.mark.parametrize("name", BREAKERS)
def test_each_broken_value_is_rejected(name: str) -> None:
    engine = Engine(CONFIG)
    engine.feed([Wire(0, START, b"north|N000", BREAKERS[name](START, "1.38691"))])
    assert engine.counters.rejected == 1
