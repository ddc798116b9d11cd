"""What recovery refuses to go on with, where the last offset of the finals is a bar and where it is a transaction's marker."""

from __future__ import annotations

import asyncio

import pytest

from agents.recovery import APP_HEADER
from app.errors import StateError
from app.settings.types import Delivery, ScopeKind
from tests.unit.test_recovery_simulation import NEXT_WINDOW, TICK, Row, Simulation, Step, run

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
