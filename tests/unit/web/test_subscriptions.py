"""Subscriptions: which filter selects which bars, the queue of a client that does not read, and the event format."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.readmodel.rows import BarRow
from app.web.events.subscriptions import QUEUE_BATCHES, Client, Filter, Subscriptions, bars_by_filter, format_event

NAMES = st.sampled_from(["a", "b", "c"])
FILTERS = st.builds(Filter, st.none() | NAMES, st.none() | NAMES)
BARS = st.lists(st.builds(BarRow, NAMES, NAMES, st.just(0), st.integers(0, 9), st.just(b"{}")))


@given(BARS, st.sets(FILTERS))
def test_each_filter_gets_the_bars_that_it_selects_in_order(bars: list[BarRow], filters: set[Filter]) -> None:
    found = bars_by_filter(bars, filters)
    assert set(found) == filters
    for wanted, its in found.items():
        assert its == [bar for bar in bars if wanted.matches(bar)]


async def test_a_client_that_does_not_read_is_told_to_fetch_anew_and_its_queue_is_bounded() -> None:
    client = Client()
    for number in range(3 * QUEUE_BATCHES):
        client.put(format_event("bars", {"number": number}))
        assert len(client.queue) <= QUEUE_BATCHES + 1
    assert client.queue[0].startswith(b"event: reset\n")
    assert b'"number":191' in client.queue[-1]


def test_an_event_is_one_line_of_data_whatever_is_in_it() -> None:
    text = format_event("bars", {"name": "a\nb\r\ndata: x"}, "boot.7").decode()
    head, kind, data, *rest = text.split("\n")
    assert (head, kind, rest) == ("id: boot.7", "event: bars", ["", ""])
    assert data.startswith("data: {")


def test_an_event_can_tell_the_client_when_to_reconnect() -> None:
    assert format_event("hello", {}, retry_ms=1_000) == b"retry: 1000\nevent: hello\ndata: {}\n\n"


def test_a_batch_goes_to_the_clients_of_its_filter_and_a_broadcast_to_all() -> None:
    subscriptions, one, other = Subscriptions(), Client(), Client()
    every, narrow = Filter(None, None), Filter("fx", "EURUSD")
    subscriptions.add(every, one)
    subscriptions.add(narrow, other)
    subscriptions.send(narrow, b"bars")
    subscriptions.broadcast(b"bye")
    assert (list(one.queue), list(other.queue)) == ([b"bye"], [b"bars", b"bye"])
    assert subscriptions.remove(narrow, other)
    assert (subscriptions.clients, subscriptions.filters) == (1, [every])
