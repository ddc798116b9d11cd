"""The resume buffer: a client that reconnects gets exactly the bars that it missed, or is told that some are gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.readmodel.rows import BarRow
from app.web.events.resume import ResumeBuffer


def bar(start: int) -> BarRow:
    return BarRow("fx", "EURUSD", 0, start, b"{}")


@given(before=st.integers(0, 20), later=st.integers(0, 20), kept=st.integers(1, 30))
def test_the_bars_after_an_event_are_given_unless_some_of_them_are_gone(before: int, later: int, kept: int) -> None:
    buffer = ResumeBuffer(kept)
    buffer.append([bar(start) for start in range(before)])
    event_id = buffer.last_id
    buffer.append([bar(start) for start in range(before, before + later)])
    missed = buffer.after(event_id)
    if later <= kept:
        assert missed == [bar(start) for start in range(before, before + later)]
    else:
        assert missed is None


def test_an_event_of_another_process_cannot_be_resumed() -> None:
    buffer, other = ResumeBuffer(), ResumeBuffer()
    assert buffer.after(buffer.last_id) == []
    assert buffer.after(other.last_id) is None


@pytest.mark.parametrize("number", ["", "-1", "1", "x", "0x0", "1e0", "9" * 5_000])
def test_a_number_that_no_event_had_cannot_be_resumed(number: str) -> None:
    buffer = ResumeBuffer()
    process = buffer.last_id.partition(".")[0]
    assert buffer.after(f"{process}.{number}") is None
    assert buffer.after(number) is None
