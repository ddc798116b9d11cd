"""Event streams: who gets which bars, and what becomes of a client that does not read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.readmodel.store import BarRow
from app.web.events.subscriptions import QUEUE_BATCHES, Client, Filter, bars_by_filter, format_event

NAMES = st.sampled_from(["a", "b", "c"])
FILTERS = st.builds(Filter, st.none() | NAMES, st.none() | NAMES)
BARS = st.lists(st.builds(BarRow, NAMES, NAMES, st.just(0), st.integers(0, 9), st.just(b"{}")))


@given(BARS, st.sets(FILTERS))
def test_each_filter_gets_the_bars_that_it_wants_in_order(bars: list[BarRow], filters: set[Filter]) -> None:
    found = bars_by_filter(bars, filters)
    assert set(found) == filters
    for wanted, its in found.items():
        assert its == [bar for bar in bars if wanted.matches(bar)]


async def test_a_client_that_does_not_read_is_told_to_fetch_anew_and_takes_no_more_room() -> None:
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
