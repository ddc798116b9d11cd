"""Every stored format of the position since 0.1.0 is read by this version, and other settings stop the start."""

from __future__ import annotations

import asyncio
import json

import pytest

from agents import fingerprint as stored_settings
from agents.fingerprint import BEFORE, NAMES, check_fingerprint, fingerprint
from app.errors import StateError
from app.kafka.batches import Outgoing
from app.settings import Settings
from app.settings.types import Delivery, ScopeKind
from tables.snapshots import is_scope
from tables.state import POSITION_KEY, decode_position, decode_state
from tests.simulation.partition import Simulation, run
from tests.simulation.steps import NEXT_WINDOW, TICK, Step

ONE_BAR: list[Step] = [TICK, ("read", 1), NEXT_WINDOW, ("read", 1), ("checkpoint", None)]
V0_1_0 = {"window_size": "1m", "grace": "5s", "scope": "broker", "price": "bid", "time_unit": "ms", "partitions": "1"}
LAYOUT = {"ticks_format": "json", "ticks_fields": "", "ticks_key": "{broker}|{symbol}", "ticks_zone": "", "ticks_time_unit": ""}
BEFORE_LAYOUTS = {"late_policy": "drop", "ticks_topic": "ticks"}
BEFORE_LONGER = {**BEFORE_LAYOUTS, **LAYOUT, "prices": "positive"}
CALENDAR = {"day_zone": "UTC", "day_start": "00:00", "week_start": "monday"}
LATER = {
    **BEFORE_LONGER,
    "correction_horizon": "10m",
    "correction_delay": "",
    "frames": "",
    **CALENDAR,
}  # the newest format ends with all of these
# The position records that versions wrote, without their numbers: the settings that each of them stored.
FORMATS = {
    "0.1.0": V0_1_0,
    "before layouts": V0_1_0 | BEFORE_LAYOUTS,
    "before longer bars": V0_1_0 | BEFORE_LONGER,
    "this version": V0_1_0 | LATER,
}
Stored = dict[str, object]


def stored_as(simulation: Simulation, meaning: dict[str, str], *, fields: tuple[str, ...]) -> None:
    """Replace the position by one that has only these fields, and these settings."""
    rows = simulation.topics.committed(simulation.settings.changelog_topic)
    position: Stored = json.loads(next(row.value or b"" for row in reversed(rows) if row.key == POSITION_KEY))
    if "scopes" in fields:  # there was no record for each scope then
        held = {row.key: decode_state(row.value or b"") for row in rows if row.key and is_scope(row.key)}
        position["scopes"] = {key[:-1].decode(): (one.stream_time, one.advanced_at) for key, one in held.items()}
        for key in held:
            simulation.topics.append(simulation.settings.changelog_topic, (key, None, None, []))
    kept = {name: value for name, value in position.items() if name in fields} | {"meaning": meaning}
    record: Outgoing = (POSITION_KEY, json.dumps(kept).encode(), None, [])
    simulation.topics.append(simulation.settings.changelog_topic, record)


def stored_position(simulation: Simulation) -> dict[str, str]:
    rows = simulation.topics.committed(simulation.settings.changelog_topic)
    return decode_position(next(row.value or b"" for row in reversed(rows) if row.key == POSITION_KEY)).fingerprint


FIELDS_OF_0_1_0 = ("next_offset", "arrival", "scopes", "counters", "finals_end", "changelog_start")


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("meaning", FORMATS.values(), ids=FORMATS)
def test_what_every_version_stored_is_gone_on_from_and_stored_whole(meaning: dict[str, str], delivery: Delivery) -> None:
    async def goes_on() -> None:
        simulation = await run(ONE_BAR, ScopeKind.BROKER, delivery)
        before = len(simulation.topics.committed(simulation.settings.finals_topic))
        stored_as(simulation, meaning, fields=FIELDS_OF_0_1_0)
        await simulation.restart()
        assert simulation.partition.consumed_to == len(simulation.log)
        assert stored_position(simulation) == fingerprint(simulation.settings, 1), "the next start checks all of it"
        await simulation.restart()
        simulation.tick(0, 0, 10**8, "tick")  # in the window that silence closed
        await simulation.read(1)
        assert simulation.partition.engine.counters.late == 1, "its stream time is known"
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.finish()
        assert len(simulation.topics.committed(simulation.settings.finals_topic)) == before + 1

    asyncio.run(goes_on())


@pytest.mark.parametrize("name", [*NAMES, "partitions"])
def test_another_value_of_a_stored_setting_stops_the_start_and_both_are_named(name: str) -> None:
    wanted = fingerprint(Settings.load(), 1)
    with pytest.raises(StateError, match=rf"topic\[0\] was written with .*\({name}=other stored, {wanted[name]} set\)"):
        check_fingerprint("topic[0]", wanted | {name: "other"}, wanted)


def test_a_setting_that_did_not_exist_then_counts_as_what_it_was_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_settings, "BEFORE", {**BEFORE, "calendar": "none", "unknown": None})
    wanted = fingerprint(Settings.load(), 8)
    check_fingerprint("topic[0]", wanted, wanted | {"calendar": "none", "unknown": "whatever"})
    with pytest.raises(StateError, match="calendar=none stored, nyse set"):
        check_fingerprint("topic[0]", wanted, wanted | {"calendar": "nyse"})


def test_every_setting_since_0_1_0_has_a_value_that_it_had_before() -> None:
    assert {*NAMES, "partitions"} - V0_1_0.keys() == BEFORE.keys()


def test_a_position_of_a_newer_version_is_not_taken_for_one_of_this() -> None:
    wanted = fingerprint(Settings.load(), 1)
    with pytest.raises(StateError, match="was written by a newer version, which knows the settings calendar"):
        check_fingerprint("topic[0]", wanted | {"calendar": "nyse"}, wanted)


def test_another_input_topic_under_one_app_id_stops_the_start_and_names_both() -> None:
    simulation = asyncio.run(run(ONE_BAR, ScopeKind.BROKER))
    simulation.topics.rows["quotes_v2"] = list(simulation.log) * 3
    simulation.settings = simulation.settings.model_copy(update={"ticks_topic": "quotes_v2"})
    with pytest.raises(StateError, match="ticks_topic=ticks stored, quotes_v2 set"):
        asyncio.run(simulation.restart())
