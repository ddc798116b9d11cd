"""What recovery refuses to go on with, where the last offset of the finals is a bar and where it is a transaction's marker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.headers import APP_HEADER
from agents.recovery import Recovered, recover
from app.errors import StateError
from app.kafka.records import Batch, Skipped
from app.kafka.slices import Slice
from app.settings import Settings
from app.settings.types import Delivery, ScopeKind
from tables.snapshots import is_scope
from tests.simulation.partition import Simulation, run
from tests.simulation.steps import NEXT_WINDOW, TICK, Step
from tests.simulation.topics import MARKER, ListReader, Part, Row

ONE_BAR: list[Step] = [TICK, ("read", 1), NEXT_WINDOW, ("read", 1), ("checkpoint", None)]


def after_one_bar(delivery: Delivery) -> Simulation:
    simulation = asyncio.run(run(ONE_BAR, ScopeKind.BROKER, delivery))
    assert simulation.topics.committed(simulation.settings.finals_topic)
    return simulation


@pytest.mark.parametrize("delivery", list(Delivery))
def test_bars_without_a_position_stop_the_start_instead_of_being_published_again(delivery: Delivery) -> None:
    simulation = after_one_bar(delivery)
    simulation.topics.rows[simulation.settings.changelog_topic] = []
    with pytest.raises(StateError, match="holds no position, though"):
        asyncio.run(simulation.restart())


@pytest.mark.parametrize("delivery", list(Delivery))
def test_the_bars_of_another_app_at_the_end_of_the_finals_stop_the_start(delivery: Delivery) -> None:
    simulation = after_one_bar(delivery)
    rows = simulation.topics.rows[simulation.settings.finals_topic]
    theirs = [(APP_HEADER, b"theirs")]
    simulation.topics.rows[simulation.settings.finals_topic] = [
        Row(row.offset, row.timestamp, row.key, row.value, theirs if row.value else [], row.transaction) for row in rows
    ]
    with pytest.raises(StateError, match=r"ends with a bar of app_id theirs.*give one of the two another topics_prefix"):
        asyncio.run(simulation.restart())


@pytest.mark.parametrize("delivery", list(Delivery))
def test_many_aborted_bars_do_not_hide_whose_the_finals_are(delivery: Delivery) -> None:
    simulation = after_one_bar(delivery)
    topics, settings = simulation.topics, simulation.settings
    topics.rows[settings.changelog_topic] = []
    topics.began += 1
    for number in range(5_000):
        topics.append(settings.finals_topic, (b"%d" % number, b"{}", 0, []), topics.began)
    topics.end(topics.began, commit=False)
    with pytest.raises(StateError, match="holds no position, though"):
        asyncio.run(simulation.restart())


def stopping(simulation: Simulation) -> Settings:
    """The settings of the simulation, with `on_gap=stop`, the default."""
    return simulation.settings.model_copy(update={"on_gap": Settings.model_fields["on_gap"].default})


async def recovered(simulation: Simulation, config: Settings | None = None) -> Recovered:
    reader: Any = ListReader(simulation.topics)
    return await recover(reader, config or stopping(simulation), 0, 1)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("markers", [1, 3])
def test_a_position_behind_the_markers_of_transactions_goes_on_after_retention_took_all_before(
    markers: int, delivery: Delivery
) -> None:
    async def goes_on() -> None:
        simulation = Simulation(ScopeKind.BROKER, delivery)
        await simulation.restart()
        simulation.tick(*TICK[1:])
        records = list(simulation.log)
        for offset in range(1, 1 + markers):  # a commit, or aborted records and the marker behind them
            simulation.log.append(Row(offset, MARKER, None, None))
        parts: list[Batch] = [Part(0, 1, records), Skipped(1, 1 + markers)]
        await simulation.partition.feed(Slice(0, simulation.partition, parts, simulation.steady))
        await simulation.checkpoint(None)
        simulation.topics.begins[simulation.settings.ticks_topic] = 1 + markers
        found = await recovered(simulation)
        assert (found.position.next_offset, found.position.resume_at) == (1, 1 + markers), "the bars name the last record"
        assert found.position.counters.lost == 0
        await simulation.restart()
        assert simulation.partition.consumed_to == simulation.partition.checkpointed_to == 1 + markers

    asyncio.run(goes_on())


def test_markers_alone_are_a_checkpoint_too() -> None:
    async def goes_on() -> None:
        simulation = await run([TICK, ("read", 1), ("checkpoint", None)], ScopeKind.BROKER)
        simulation.log.extend(Row(offset, MARKER, None, None) for offset in range(1, 5))
        await simulation.partition.feed(Slice(0, simulation.partition, [Skipped(1, 5)], simulation.steady))
        await simulation.checkpoint(None)
        assert (await recovered(simulation)).position.resume_at == 5

    asyncio.run(goes_on())


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("on_gap", ["stop", "continue"])
def test_open_windows_that_were_deleted_from_the_changelog_stop_the_start(on_gap: str, delivery: Delivery) -> None:
    several: list[Step] = [("tick", 0, name, 0, "tick") for name in range(4)]

    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, delivery)
        await simulation.restart()
        for step in several:
            simulation.tick(*step[1:])
        await simulation.read(4)
        await simulation.checkpoint(None)
        changelog = simulation.settings.changelog_topic
        start = (await recovered(simulation)).position.changelog_start
        simulation.topics.begins[changelog] = start
        states = (await recovered(simulation)).states
        assert sum(not is_scope(key) for key in states) == 4, "what is before them is not needed"
        simulation.topics.begins[changelog] = start + 1
        with pytest.raises(StateError, match=rf"{changelog}\[0\] begins at offset {start + 1}, after {start}, from where on"):
            await recovered(simulation, simulation.settings if on_gap == "continue" else None)

    asyncio.run(check())


@pytest.mark.parametrize("delivery", list(Delivery))
def test_finals_that_end_before_the_position_are_not_loaded_as_bars_since_the_checkpoint(delivery: Delivery) -> None:
    steps: list[Step] = [TICK, ("read", 1)]
    for _ in range(10):
        steps += [NEXT_WINDOW, ("read", 1)]

    async def check() -> None:
        simulation = await run([*steps, ("checkpoint", None)], ScopeKind.BROKER, delivery)
        rows = simulation.topics.rows[simulation.settings.finals_topic]
        assert len(rows) > 8
        del rows[8:]
        with pytest.raises(StateError, match=r"bar_1m_final\[0\] ends at offset 8, and this app's bars ended at \d+"):
            await recovered(simulation)
        assert (await recovered(simulation, simulation.settings)).tail == []

    asyncio.run(check())


def test_of_finals_made_anew_those_since_the_checkpoint_are_the_tail() -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent)
        await simulation.restart()
        for step in [TICK, NEXT_WINDOW, NEXT_WINDOW]:
            simulation.tick(*step[1:])
        await simulation.read(3)
        while simulation.wire.deliver():
            pass
        await simulation.checkpoint(None)
        simulation.topics.rows[simulation.settings.finals_topic].clear()
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(1)
        while simulation.wire.deliver():
            pass  # appended to the new topic, at offset 0; then the worker is killed
        found = await recovered(simulation, simulation.settings)
        assert [bar.closed_at_offset for bar in found.tail] == [3]

    asyncio.run(check())
