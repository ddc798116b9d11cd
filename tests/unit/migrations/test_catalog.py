"""The catalog, parsed from the recorded responses of a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrations.ksql.parse.statement import Kind
from migrations.run.backfill import rows_by_key
from migrations.server.catalog import Catalog, parse_catalog, query_lag, same_text
from tests.support.vendor import ROOT

TRANSCRIPTS = ROOT.parents[1] / "ksqldb" / "transcripts"
FILE = TRANSCRIPTS / "09_catalogue_and_control.jsonl"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"no transcripts: {FILE.name} is not there (set BARWHEEL_TEST_DATA)")


@pytest.fixture(scope="module")
def responses() -> dict[str, Any]:
    """The first recorded response to each statement."""
    first: dict[str, Any] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        body = exchange.get("request", {}).get("body")
        if body and "ksql" in body:
            first.setdefault(body["ksql"], exchange["response"].get("body"))
    return first


@pytest.fixture(scope="module")
def catalog(responses: dict[str, Any]) -> Catalog:
    return parse_catalog([responses[text][0] for text in ("SHOW STREAMS EXTENDED;", "SHOW TABLES EXTENDED;", "LIST TYPES;")])


def test_the_catalog_has_the_sources_that_the_server_lists(responses: dict[str, Any], catalog: Catalog) -> None:
    listed = [*responses["SHOW STREAMS;"][0]["streams"], *responses["SHOW TABLES;"][0]["tables"]]
    assert {(s.name, s.kind, s.topic) for s in catalog.sources.values()} == {(s["name"], s["type"], s["topic"]) for s in listed}
    assert {s.name for s in catalog.sources.values() if s.windowed} == {s["name"] for s in listed if s["isWindowed"]}


def test_every_query_has_the_text_that_the_server_shows(responses: dict[str, Any], catalog: Catalog) -> None:
    shown = {query["id"]: query["queryString"] for query in responses["SHOW QUERIES;"][0]["queries"]}
    assert catalog.queries == shown
    assert "T3_BAR_1M_FINAL_WRITER" in shown  # the query of an INSERT, found by the stream it writes to


def test_a_source_created_by_a_query_has_the_text_of_that_query(catalog: Catalog) -> None:
    made = {name: query for name, source in catalog.sources.items() for query in source.queries if query.startswith("C")}
    assert len(made) > 10
    for name, query in made.items():
        assert catalog.sources[name].text == catalog.queries[query]


def test_what_an_insert_writes_to_a_source_is_no_query_of_its_own(catalog: Catalog) -> None:
    written = {name: source.queries for name, source in catalog.sources.items() if source.queries}
    own = {name: catalog.query_of(Kind.create_stream_as, name) for name in written}
    assert set(own.values()) == {"", *(query for query in catalog.queries if query.startswith(("CTAS", "CSAS")))}
    assert any(not query and written[name] for name, query in own.items())
    assert {catalog.query_of(Kind.create_stream, name) for name in written} == {""}


def test_a_topic_without_committed_offsets_has_no_lag(responses: dict[str, Any]) -> None:
    lags = {source["name"]: query_lag(source) for source in responses["SHOW TABLES EXTENDED;"][0]["sourceDescriptions"]}
    assert lags["T3_BAR_1M_FINAL_Q"] == {"t3.bar_1m_final": 0}
    fresh = json.loads((TRANSCRIPTS / "16_drift.jsonl").read_text(encoding="utf-8").splitlines()[3])
    assert query_lag(fresh["response"]["body"][0]["sourceDescription"]) == {}


def test_rows_are_distinguished_by_all_key_columns_and_the_window(catalog: Catalog) -> None:
    source = catalog.sources["T3_BAR_1M_W"]
    assert (source.keys, source.windowed) == (("BROKER", "SYMBOL"), True)
    row = {"BROKER": "A", "SYMBOL": "X", "WINDOWSTART": 0, "WINDOWEND": 60, "N": 1}
    rows: list[dict[str, object]] = [row, row | {"SYMBOL": "Y"}, row | {"WINDOWSTART": 60, "WINDOWEND": 120}]
    assert list(rows_by_key(rows, source).values()) == rows


def test_texts_are_compared_without_spacing_and_the_case_of_words() -> None:
    assert same_text("CREATE STREAM A (B INTEGER);", "create stream a (b  integer);")
    assert not same_text("CREATE STREAM A (B INTEGER);", "CREATE STREAM A (B BIGINT);")
    assert not same_text("CREATE STREAM A (B INTEGER);", "CREATE STREAM `a` (B INTEGER);")
