"""The forms of a page of bars: which one a client gets, and what it says beside the bars."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from app.readmodel.queries import StoredBar
from app.web import bar_page
from app.web.bar_page import ARROW, CSV, JSON, BarPage, negotiate
from app.web.errors import IncompleteError, NotAcceptableError
from tables.bars import Bar, encode_bar

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def stored(**values: object) -> StoredBar:
    told = {
        "broker": "a,b",
        "symbol": 'x"y',
        **dict.fromkeys(("bucket_start", "bucket_end", "first_ts", "last_ts", "closed_at", "watermark"), 60_000),
        **dict.fromkeys(("open", "high", "low", "close"), Decimal("9E-7")),
        **dict.fromkeys(("ticks", "first_offset", "last_offset", "closed_at_offset"), 1),
        **dict.fromkeys(("volume", "vwap")),
        "close_reason": "idle",
        **values,
    }
    return StoredBar(60_000, 3, encode_bar(Bar(**told)))  # type: ignore[arg-type]  # of the types that are told


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        ("", JSON),
        ("*/*", JSON),
        (BROWSER, JSON),
        ("text/html", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("text/*", CSV),
        ("text/csv, */*", CSV),
        ("text/csv;q=0.5, application/json", JSON),
        ("application/json;q=0.5, text/csv;q=0.7", CSV),
        ("application/json;q=0, */*", CSV),
        (f"{ARROW}", ARROW),
        (f"{ARROW};q=0.9, text/csv;q=0.8", ARROW),
        ("text/csv;q=x", JSON),
    ],
)
def test_a_client_gets_what_it_prefers(accept: str, sent: str) -> None:
    assert negotiate(accept) == sent


def test_without_pyarrow_a_client_gets_what_else_it_takes_or_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_page, "find_spec", lambda _: None)
    assert negotiate(f"{ARROW}, text/csv;q=0.1") == CSV
    with pytest.raises(NotAcceptableError, match=r"needs pyarrow at this worker: pip install 'barwheel\[parquet\]'"):
        negotiate(ARROW)


def test_csv_quotes_names_and_writes_small_prices_in_full() -> None:
    body = BarPage([stored(partial=True), stored(volume=Decimal("2.50"))], {"complete": True}).encode(CSV)
    first, second = csv.DictReader(io.StringIO(body.decode()))
    assert (first["broker"], first["symbol"], first["open"]) == ("a,b", 'x"y', "0.0000009")
    assert (first["volume"], first["partial"], first["partition"]) == ("", "true", "3")
    assert (second["volume"], second["partial"], second["revision"]) == ("2.50", "", "0")


@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_a_form_that_cannot_say_that_bars_are_missing_is_refused_while_some_are(media_type: str) -> None:
    page = BarPage([stored()], {"complete": False})
    assert b'"complete":false' in page.encode(JSON)
    with pytest.raises(IncompleteError):
        page.encode(media_type)


def test_what_else_json_says_is_in_headers_of_the_other_forms() -> None:
    page = BarPage([], {"complete": True, "oldest_kept": 60_000, "none_kept": True})
    assert page.headers(JSON) == {}
    assert page.headers(CSV) == {"Barwheel-Oldest-Kept": "60000", "Barwheel-None-Kept": "true"}
    assert page.encode(CSV).startswith(b"broker,symbol,bucket_start,")
