"""`bars_format` changes between two runs of one app: recovery reads bars of any format, also of several in one tail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import bar_schemas
from app.errors import StateError
from app.settings.types import BarsFormat, Delivery, ScopeKind
from tables.bar_formats.records import BAR_HEADER, has_schema
from tests.simulation.judge import judge
from tests.simulation.partition import Simulation, follow
from tests.simulation.steps import EXAMPLES, NEXT_WINDOW, STEPS, TICK, Step

URL = "http://registry:1"


class Changing(Simulation):
    """Each start has another format."""

    def __init__(self, scope: ScopeKind, delivery: Delivery, formats: list[BarsFormat]) -> None:
        super().__init__(scope, delivery, schema_registry_url=URL)
        self.formats = formats
        self.starts = 0

    async def restart(self) -> None:
        chosen = self.formats[self.starts % len(self.formats)]
        self.starts += 1
        self.settings = self.settings.model_copy(update={"bars_format": chosen})
        await super().restart()


def registered() -> dict[Any, int]:
    """Ids as if a registry had given them."""
    found = {}
    for number, name in enumerate(("avro", "protobuf"), 1):
        some = Simulation(ScopeKind.BROKER, Delivery.idempotent, bars_format=name, schema_registry_url=URL).settings
        schema = bar_schemas.bar_schema(some)
        assert schema is not None
        found[URL, bar_schemas.subject_of(some.finals_topic), schema.text] = number
    return found


@pytest.mark.parametrize("delivery", list(Delivery))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    scope=st.sampled_from(list(ScopeKind)),
    steps=st.lists(STEPS, max_size=60),
    formats=st.lists(st.sampled_from(list(BarsFormat)), min_size=1, max_size=5),
)
def test_a_crash_after_any_record_leaves_the_same_bars_in_whatever_format(
    delivery: Delivery, scope: ScopeKind, steps: list[Step], formats: list[BarsFormat]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bar_schemas, "_ids", registered())
        simulation = Changing(scope, delivery, formats)
        asyncio.run(follow(simulation, steps))
        judge(simulation)


def test_one_tail_holds_bars_of_all_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_schemas, "_ids", registered())
    formats = [BarsFormat.json, BarsFormat.avro, BarsFormat.protobuf]
    simulation = Changing(ScopeKind.BROKER, Delivery.idempotent, formats)
    published: list[Step] = [NEXT_WINDOW, ("read", 9), ("deliver", 1)]
    restarted: list[Step] = [("crash",), *published]
    asyncio.run(follow(simulation, [TICK, ("read", 1), ("checkpoint", None), *published, *restarted, *restarted]))
    rows = simulation.topics.committed(simulation.settings.finals_topic)
    kinds = [(dict(row.headers).get(BAR_HEADER) or b"json").split(b"-")[0] for row in rows]
    assert kinds[:3] == [b"json", b"avro", b"protobuf"], "before the first checkpoint after them"
    assert [has_schema(row.value or b"") for row in rows[:3]] == [False, True, True]
    judge(simulation)


def test_an_open_window_that_fits_no_bar_of_the_new_format_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_schemas, "_ids", registered())
    monkeypatch.setattr(Changing, "more", lambda _: "000000001")  # at the end of the price
    simulation = Changing(ScopeKind.BROKER, Delivery.idempotent, [BarsFormat.json, BarsFormat.avro])
    steps: list[Step] = [TICK, ("read", 1), ("checkpoint", None), ("crash",)]
    with pytest.raises(StateError, match=r"the window of A\|x up to 1700000100000 has '1.5000000001', which does not fit"):
        asyncio.run(follow(simulation, steps))
