"""The event hub: no stream waits for another worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import cast

import pytest

from app.readmodel.rows import BarRow
from app.web.context import WebContext
from app.web.events import hub as module
from app.web.events.hub import EventHub
from app.web.events.subscriptions import Client, Filter
from app.web.events.window_changes import WindowChanges
from app.web.models.bars import OpenWindow
from tests.support.waiting import until


class _Windows(WindowChanges):
    """Other workers answer when `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0

    def changed(self, wanted: Filter, remote: list[OpenWindow] | None) -> list[OpenWindow]:  # noqa: ARG002
        return remote or []

    async def remote_windows(self, filters: Iterable[Filter]) -> dict[Filter, list[OpenWindow]]:
        self.asked += 1
        await self.gate.wait()
        return {wanted: [OpenWindow.model_construct(broker="b", symbol="S")] for wanted in filters}


@pytest.fixture
def windows() -> _Windows:
    return _Windows()


@pytest.fixture
def hub(windows: _Windows, monkeypatch: pytest.MonkeyPatch) -> EventHub:
    made = EventHub(cast("WebContext", SimpleNamespace()))
    made._windows = windows
    monkeypatch.setattr(made._state, "changes", dict)
    monkeypatch.setattr(module, "STATE_SECONDS", 0.0)  # other workers are asked in every round
    monkeypatch.setattr(module, "placed", lambda value, partition, _: {"value": value.decode(), "partition": partition})
    return made


async def test_bars_are_sent_while_another_worker_does_not_answer(hub: EventHub, windows: _Windows) -> None:
    client = Client()
    hub._subscriptions.add(Filter(None, None), client)
    for number in range(5):
        hub.publish([BarRow("b", "S", 0, number, b"bar %d" % number)])
        hub._send_round()
        await asyncio.sleep(0)
        assert b"bar %d" % number in client.queue[-1]
    assert windows.asked == 1, "one look at a time"
    await hub.stop()


async def test_a_round_sends_each_client_one_batch_with_the_state_and_its_bars(
    hub: EventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, elsewhere = Client(), Client()
    hub._subscriptions.add(Filter("b", "S"), watching)
    hub._subscriptions.add(Filter("b", "other"), elsewhere)
    monkeypatch.setattr(hub._state, "changes", lambda: {"watermarks": {"now": 1}, "accounting": {"read": 2}})
    hub.publish([BarRow("b", "S", 0, 1, b"its bar")])
    hub._send_round()
    kinds = [[line for line in batch.decode().splitlines() if line.startswith("event: ")] for batch in watching.queue]
    assert kinds == [["event: watermarks", "event: accounting", "event: bars"]], "one write for all of it"
    assert len(elsewhere.queue) == 1
    assert b"event: bars" not in elsewhere.queue[0]
    await hub.stop()


async def test_nothing_is_sent_in_a_round_without_news_and_no_stream_is_woken(hub: EventHub) -> None:
    client = Client()
    hub._subscriptions.add(Filter("b", "S"), client)
    hub.publish([BarRow("b", "other", 0, 1, b"of another symbol")])
    hub._send_round()
    assert (list(client.queue), client.wake.is_set()) == ([], False)
    await hub.stop()


async def test_streams_look_now_and_then_whether_their_clients_have_gone(
    hub: EventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    client = Client()
    hub._subscriptions.add(Filter("b", "S"), client)
    hub.start()
    await asyncio.wait_for(client.wake.wait(), 30)
    assert not client.queue, "it was woken without news"
    await hub.stop()


async def test_what_other_workers_answer_is_sent_with_the_next_round(hub: EventHub, windows: _Windows) -> None:
    client = Client()
    hub._subscriptions.add(Filter("b", "S"), client)
    hub._send_round()
    await asyncio.sleep(0)
    windows.gate.set()
    lookup = hub._lookup
    assert lookup is not None
    await lookup
    assert not client.queue
    hub._send_round()
    assert b'"symbol":"S"' in client.queue[-1]
    await hub.stop()


class _Counting(EventHub):
    """Counts its rounds, which take no time."""

    rounds = 0

    @property
    def interval(self) -> float:
        self.rounds += 1
        return 0.0


async def test_while_no_stream_is_open_the_hub_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = _Counting(cast("WebContext", SimpleNamespace()))
    monkeypatch.setattr(hub, "_send_round", lambda: None)
    hub.start()
    await _turns()
    assert hub.rounds == 0
    wanted, client = Filter(None, None), Client()
    hub._subscriptions.add(wanted, client)
    await until(lambda: hub.rounds > 2)
    hub._subscriptions.remove(wanted, client)
    await _turns()  # the round that is under way ends
    before = hub.rounds
    await _turns()
    assert hub.rounds == before
    hub._subscriptions.add(wanted, client)
    await until(lambda: hub.rounds > before)
    await hub.stop()


async def _turns() -> None:
    """Give the event loop enough turns for several rounds."""
    for _ in range(50):
        await asyncio.sleep(0)
