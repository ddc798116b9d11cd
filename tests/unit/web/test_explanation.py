"""The explanation of a window: each case, and that the sentence agrees with the fields."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.explanation import Facts, Owner, explain
from app.web.models.bars import FinalBar, OpenWindow, WhyStatus
from app.web.wording import moment, span

START = 1_399_248_000_000
END = START + 60_000
GRACE = 5_000
ONE = Decimal("1.5")
PRICES = {"open": ONE, "high": ONE, "low": ONE, "close": ONE, "volume": None, "vwap": None}
FACTS = Facts(
    broker="fx",
    symbol="EURUSD",
    bucket_start=START,
    bucket_end=END,
    grace=GRACE,
    scope="broker",
    idle_close=True,
    now=END + 1_000,
    owner=Owner.me,
    partition=3,
    worker="http://w:6066",
    stream_time=END,
)
BAR = FinalBar(
    broker="fx",
    symbol="EURUSD",
    bucket_start=START,
    bucket_end=END,
    **PRICES,  # type: ignore[arg-type]  # a plain dictionary
    ticks=7,
    first_ts=START,
    last_ts=END - 1,
    close_reason="watermark",
    closed_at=END + 6_000,
    watermark=END + 10,
    first_offset=5,
    last_offset=90,
    closed_at_offset=91,
)


def window(stream_time: int | None = END, idle_due: int | None = END + 9_000) -> OpenWindow:
    return OpenWindow(
        broker="fx",
        symbol="EURUSD",
        partition=3,
        bucket_start=START,
        bucket_end=END,
        **PRICES,  # type: ignore[arg-type]  # a plain dictionary
        ticks=1,
        first_ts=START,
        last_ts=START,
        first_offset=5,
        last_offset=5,
        opened_at=START,
        stream_time=stream_time,
        watermark=None if stream_time is None else stream_time - GRACE,
        closes_at_stream_time=END + GRACE,
        idle_due=idle_due,
    )


def test_a_final_bar_says_which_record_closed_it_and_when() -> None:
    found = explain(replace(FACTS, bar=BAR))
    assert found.status is WhyStatus.final
    assert "partition 3, offset 91 moved the watermark past its end" in found.sentence
    assert "Final since 2014-05-05 00:01:06 UTC" in found.sentence
    assert (found.stream_time, found.watermark) == (END + 10 + GRACE, END + 10)


def test_a_bar_closed_by_the_idle_timer_says_so_and_counts_its_late_ticks() -> None:
    found = explain(replace(FACTS, bar=BAR.model_copy(update={"close_reason": "idle"}), late_ticks=2))
    assert "silence closed it" in found.sentence
    assert "2 ticks of it came late" in found.sentence
    assert found.late_ticks == 2


def test_a_flat_bar_says_whose_price_it_repeats() -> None:
    found = explain(replace(FACTS, bar=BAR.model_copy(update={"ticks": 0, "last_offset": 17})))
    assert "no tick came (empty=flat), so it repeats the price of the tick at offset 17." in found.sentence


def test_an_open_window_says_what_it_waits_for() -> None:
    found = explain(replace(FACTS, window=window(), lag=12_000))
    assert (found.status, found.missing_ms, found.closes_by, found.closes_at) == (WhyStatus.open, GRACE, "idle", END + 9_000)
    assert "Open, with 1 tick so far" in found.sentence
    assert "5.0 s more" in found.sentence
    assert "silence closes it at 2014-05-05 00:01:09 UTC, in 8.0 s" in found.sentence
    assert "12,000 records of its partition have not been read yet" in found.sentence
    assert "partition 3 of http://w:6066" in found.sentence


def test_an_open_window_does_not_close_while_the_broker_is_silent_and_says_so() -> None:
    found = explain(replace(FACTS, window=window(), broker_silent_for=75.0))
    assert "Kafka has not answered for 1 min 15 s: nothing is read and nothing closes until it does" in found.sentence


def test_without_idle_close_only_data_closes() -> None:
    found = explain(replace(FACTS, window=window(idle_due=None), idle_close=False))
    assert (found.closes_by, found.closes_at) == ("data", None)
    assert "idle_close=off" in found.sentence


@pytest.mark.parametrize(("scope", "whose"), [("broker", "of fx "), ("symbol", "of EURUSD "), ("partition", "of partition 3 ")])
def test_the_scope_is_named_whose_ticks_close_it(scope: str, whose: str) -> None:
    assert whose in explain(replace(FACTS, window=window(), scope=scope)).sentence


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (
            {"owner": Owner.away, "owner_error": "it is gone"},
            WhyStatus.owner_away,
            "owned by http://w:6066: it is gone",
        ),
        ({"owner": Owner.recovering}, WhyStatus.recovering, "partition 3 is being recovered"),
        ({"owner": Owner.nobody}, WhyStatus.no_owner, "no worker owns partition 3"),
        ({"oldest_kept": END}, WhyStatus.unknown, "no longer kept"),
        ({"none_kept": True, "stream_time": None}, WhyStatus.unknown, "no longer kept"),
        ({"none_kept": True, "stream_time": END + GRACE}, WhyStatus.unknown, "none of this symbol among the others"),
        ({"none_kept": True, "partition": None, "stream_time": None}, WhyStatus.unknown, "`app bars` reads all"),
        ({"none_kept": True, "stream_time": END + GRACE - 1}, WhyStatus.not_opened, "1 ms more"),
        ({"none_kept": True, "stream_time": END + GRACE, "unpublished": True}, WhyStatus.closing, "on their way"),
        ({"none_kept": True, "loaded": False}, WhyStatus.unknown, "still being read"),
        ({"loaded": False}, WhyStatus.unknown, "still being read"),
        ({"loaded": False, "broker_silent_for": 14.2}, WhyStatus.unknown, "Kafka has not answered for 14.2 s"),
        ({"loaded": False, "read_model_error": "disk full"}, WhyStatus.unknown, "`app bars` reads them"),
        ({"broker_silent_for": 14.2}, WhyStatus.not_opened, "Kafka has not answered for 14.2 s"),
        ({"stream_time": END + GRACE}, WhyStatus.never_opened, "none can any more"),
        ({"stream_time": END + GRACE, "unpublished": True}, WhyStatus.closing, "on their way"),
        ({"stream_time": END + GRACE - 1}, WhyStatus.not_opened, "1 ms more"),
        ({"stream_time": None}, WhyStatus.not_opened, "no tick of its scope"),
        ({"partition": None, "owner": Owner.unknown}, WhyStatus.not_opened, "no tick of it has been read"),
    ],
)
def test_a_window_that_is_not_there_says_why(change: dict[str, object], status: WhyStatus, said: str) -> None:
    found = explain(replace(FACTS, **change))  # type: ignore[arg-type]  # fields by name
    assert found.status is status
    assert said in found.sentence


@given(
    stream_time=st.none() | st.integers(START - 100_000, END + 100_000),
    opened=st.booleans(),
    final=st.booleans(),
    owner=st.sampled_from(Owner),
    partition=st.none() | st.integers(0, 9),
    unpublished=st.booleans(),
    loaded=st.booleans(),
)
def test_there_is_always_a_sentence_and_the_status_agrees_with_the_fields(
    stream_time: int | None,
    opened: bool,  # noqa: FBT001  # drawn by name
    final: bool,  # noqa: FBT001
    owner: Owner,
    partition: int | None,
    unpublished: bool,  # noqa: FBT001
    loaded: bool,  # noqa: FBT001
) -> None:
    facts = replace(
        FACTS,
        stream_time=stream_time,
        bar=BAR if final else None,
        window=window(stream_time) if opened else None,
        owner=owner,
        partition=partition,
        unpublished=unpublished,
        loaded=loaded,
    )
    found = explain(facts)
    assert (found.status is WhyStatus.final) == final
    assert (found.status is WhyStatus.open) == (opened and not final)
    assert found.sentence.endswith(".")
    assert "None" not in found.sentence.replace("partition None", "")
    assert (found.closes_by is not None) == (found.status is WhyStatus.open)
    if found.watermark is not None:
        assert found.stream_time == found.watermark + GRACE


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0 ms"), (999, "999 ms"), (5_240, "5.2 s"), (200_000, "3 min 20 s"), (7_260_000, "2 h 1 min")]
)
def test_a_span_is_written_in_readable_units(ms: int, text: str) -> None:
    assert span(ms) == text


@given(st.integers(-(1 << 62), 1 << 62))
def test_any_number_is_written_as_a_moment_or_in_ms(ms: int) -> None:
    assert moment(ms).endswith(("UTC", "ms"))


def test_a_partial_bar_or_window_says_that_ticks_may_be_missing() -> None:
    marked = BAR.model_copy(update={"partial": True})
    assert "ticks may be missing" in explain(replace(FACTS, bar=marked)).sentence
    assert "ticks may be missing" in explain(replace(FACTS, window=window().model_copy(update={"partial": True}))).sentence
    assert "missing" not in explain(replace(FACTS, bar=BAR)).sentence


def test_a_window_that_other_partitions_have_too_names_them() -> None:
    answer = explain(replace(FACTS, bar=BAR, also_in=(1, 3)))
    assert (answer.also_in, answer.partition) == ([1], 3)
    assert "Partition 1 has the same window, too" in answer.sentence
    assert "Partitions 1 and 2 have the same window, too" in explain(replace(FACTS, bar=BAR, also_in=(1, 2, 3))).sentence
    assert explain(replace(FACTS, bar=BAR, also_in=(3,))) == explain(replace(FACTS, bar=BAR))
