"""A symbol in two partitions is told from one that is placed by another partitioner."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

import pytest

from agents.placement import PlacedSymbols, Placement, take_keys
from agents.task import PartitionTask
from app.doubled import Doubled
from app.finals import PlacedBar, doubled
from app.kafka.partitioner import partition_of
from app.ksqldb.reconciliation import EXPLAINED, Cause, KsqlBar, reconcile
from app.operations.placement import in_finals, in_ticks
from app.settings import Settings
from app.settings.types import Delivery, ScopeKind
from tests.simulation.partition import Simulation
from tests.simulation.steps import TICK
from tests.support.bars import bar, bar_json

MINUTE = 60_000
KEYS = [f"fx|S{number}".encode() for number in range(40)]


@dataclass
class Seen:
    """A record of a consumer."""

    partition: int
    key: bytes | None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = (("app_id", b"barwheel"),)


def test_symbols_elsewhere_are_counted_and_the_first_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agents.placement")
    placement, elsewhere = Placement("ticks"), [key for key in KEYS if partition_of(key, 4) != 2]
    assert placement.count_elsewhere(sorted(set(KEYS) - set(elsewhere)), 2, 4) == 0
    assert not caplog.messages
    assert placement.count_elsewhere(KEYS, 2, 4) == placement.count_elsewhere(KEYS, 2, 4) == len(elsewhere)
    (said,) = caplog.messages
    assert said.startswith(f"'{elsewhere[0].decode()}' is in ticks[2]")
    assert "partitioner=murmur2_random" in said


@pytest.mark.parametrize("scope", [ScopeKind.BROKER, ScopeKind.SYMBOL])
def test_a_task_compares_each_symbol_once_and_those_of_its_stored_states_too(
    monkeypatch: pytest.MonkeyPatch, scope: ScopeKind
) -> None:
    taken: list[bytes] = []
    monkeypatch.setattr(PlacedSymbols, "count_new", lambda _, engine: taken.extend(take_keys(engine.windows.new_keys, 2)))

    async def check() -> None:
        simulation = Simulation(scope, Delivery.idempotent)
        await simulation.restart()
        for name in (0, 0, 1, 2, 0):
            simulation.tick(1, name, 0, "tick")
        await simulation.read(5)
        await simulation.checkpoint(None)
        assert sorted(taken) == [b"A|x", b"A|y", b"B|x"]
        await simulation.finish()
        simulation.tick(1, 0, 0, "tick")
        await simulation.read(1)
        await simulation.checkpoint(None)
        assert len(taken) == 3, "its windows have closed, and one has opened again"
        taken.clear()
        await simulation.restart()
        await simulation.checkpoint(None)
        stored = [b"A|x"] if scope is ScopeKind.BROKER else [b"A|x", b"A|y", b"B|x"]
        assert sorted(taken) == stored

    asyncio.run(check())


def test_a_task_counts_what_lies_elsewhere() -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent)
        await simulation.restart()
        simulation.partition.placed = PlacedSymbols(Placement("ticks"), 0, 1 << 20)  # few belong into partition 0 of so many
        simulation.tick(*TICK[1:])
        simulation.tick(*TICK[1:])
        await simulation.read(2)
        assert simulation.partition.placed.misplaced == simulation.partition.accounting()["misplaced_symbols"] == 1
        assert isinstance(simulation.partition, PartitionTask)

    asyncio.run(check())


def test_a_symbol_in_two_partitions_of_the_input_is_wrong_and_one_placed_otherwise_is_noted() -> None:
    home = [Seen(partition_of(key, 4), key) for key in KEYS]
    assert list(in_ticks("ticks", 4, [*home, *home, Seen(1, None), Seen(1, b""), Seen(2, b"")])) == []
    moved = [Seen((partition_of(key, 4) + 1) % 4, key) for key in KEYS]
    (found,) = in_ticks("ticks", 4, moved)
    assert (found.level, "40 of 40 symbols are not where" in found.text) == ("note", True)
    (found,) = in_ticks("ticks", 4, [*home, moved[3]])
    first, second = sorted((home[3].partition, moved[3].partition))
    assert found.level == "wrong"
    assert f"1 of 40 symbols live in two partitions, such as 'fx|S3' in {first} and {second}" in found.text


def test_a_window_in_two_partitions_of_the_finals_is_wrong_and_a_repeated_bar_is_not() -> None:
    settings = Settings.load(_env_file=None)
    once = Seen(1, b"fx|A|0", bar_json(symbol="A"))
    other = Seen(3, b"fx|A|60000", bar_json(symbol="A", start=MINUTE))
    assert list(in_finals(settings, [once, once, other])) == []
    assert list(in_finals(settings, [once, Seen(3, b"fx|A|0", bar_json(symbol="A"), (("app_id", b"another"),))])) == []
    (found,) = in_finals(settings, [once, other, Seen(3, b"fx|A|0", bar_json(symbol="A", close="1.7"))])
    assert (found.level, "1 so far" in found.text, "in partitions 1 and 3" in found.text) == ("wrong", True, True)


def test_bars_of_one_window_are_counted_and_the_newest_is_named() -> None:
    one = [PlacedBar(n, bar(symbol="A", start=start)) for start in (0, MINUTE) for n in (0, 1, 3)]
    assert doubled(one) == Doubled(4, "fx", "A", MINUTE, (0, 1, 3))
    assert doubled([one[0], PlacedBar(1, bar(symbol="B")), one[4]]) is None
    assert Doubled(4, "fx", "A", 0, (0, 1, 3)).text.endswith("in partitions 0, 1 and 3")


def test_windows_of_two_partitions_are_not_compared_with_ksqldbs() -> None:
    window = ("fx", "A", 0)
    mine = bar(symbol="A")
    theirs = KsqlBar(mine.open, mine.high, mine.low, mine.close, mine.ticks)
    assert list(reconcile({window: mine}, {window: theirs}, Counter(), {})) == []
    differ = list(reconcile({window: mine}, {window: theirs}, Counter(), {}, doubled={window: [mine, mine]}))
    assert [one.cause for one in differ] == [Cause.two, Cause.two]
    assert "producers place it differently" in EXPLAINED[Cause.two]
