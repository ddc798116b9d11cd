"""The connector files of examples/connect name every part of a bar, and docs/consume.md names every file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tables.bars import Bar

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples/connect").glob("*.json"))
JDBC = ROOT / "examples/connect/jdbc-debezium-postgresql.json"
PARTS = [name for name in Bar.__struct_fields__ if name != "corrected"]  # final bars have not that one


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_connector_reads_committed_bars_and_is_documented(file: Path) -> None:
    config = json.loads(file.read_text())["config"]
    assert config["topics"] == "bar_1m_final"
    assert config["consumer.override.isolation.level"] == "read_committed"
    assert f"`{file.name}`" in (ROOT / "docs/consume.md").read_text()


def test_the_jdbc_sink_is_given_all_parts_of_a_bar_and_a_table_for_them() -> None:
    config = json.loads(JDBC.read_text())["config"]
    fields = json.loads(config["value.converter.schema.content"])["fields"]
    assert [field["field"] for field in fields] == PARTS
    table = JDBC.with_suffix(".sql").read_text()
    types = "text|timestamp|numeric|bigint|integer|boolean"
    assert re.findall(rf"\b(\w+) (?:{types})\b(?! zone)", table.partition("(")[2]) == PARTS
    assert f"PRIMARY KEY ({config['primary.key.fields'].replace(',', ', ')})" in table
    optional = {field["field"] for field in fields if field["optional"]}
    assert optional == {"volume", "vwap", "partial"}
