"""Every word of the server's grammar is accepted or refused as a name exactly as a real server did."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from migrations.ksql.errors import KsqlError, LexError
from migrations.ksql.expressions import Column, Key
from migrations.ksql.functions import latest
from migrations.ksql.names import PSEUDO_COLUMNS, RESERVED
from migrations.ksql.parse.normal import split_tokens
from migrations.ksql.parse.statement import Kind, describe
from migrations.ksql.queries import select
from migrations.ksql.sources import Stream, Table, delimited
from migrations.ksql.types import BIGINT, STRING, STRUCT
from migrations.server.client import SENTINEL
from tests.ksqldb_server import words
from tests.ksqldb_server.refusal import Refusal, SyntaxRefusal
from tests.ksqldb_server.server import execute_all
from tests.ksqldb_server.state import State
from tests.ksqldb_server.syntax import parse
from tests.unit.migrations.declarations import Ticks, source

WORDS = Path(os.environ.get("BARWHEEL_TEST_DATA") or Path(__file__).parents[4] / "shared") / "ksqldb" / "8.3.1" / "words.jsonl"
PLACES = ("column", "name", "alias", "field")


def recorded() -> list[dict[str, str]]:
    if not WORDS.exists():
        pytest.skip(f"no recorded words in {WORDS}")
    return [json.loads(line) for line in WORDS.read_text(encoding="utf-8").splitlines()]


def declare(place: str, word: str) -> object:
    """A declaration with this word as a name in this place."""
    if place == "column":
        return source(Stream, {"k": Key(STRING), "made": Column(BIGINT, word)}, topic="t", value="JSON")
    if place == "name":
        return source(Stream, {"k": Key(STRING), "v": Column(BIGINT)}, name=word, topic="t", value="JSON", partitions=1)
    if place == "field":
        return STRUCT(**{word: BIGINT})
    query = select(Ticks.broker, Ticks.symbol, latest(Ticks.n).as_(word)).from_(Ticks).group_by(Ticks.broker, Ticks.symbol)
    keys = {"broker": Key(STRING), "symbol": Key(STRING)}
    return source(Table, {**keys, "made": Column(BIGINT, word)}, key=delimited("|"), query=query)


def text_with(place: str, word: str) -> str:
    """Statements with this word as an unquoted name in this place."""
    options = "WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON')"
    return {
        "column": f"CREATE STREAM s (k STRING KEY, {word} BIGINT) {options};",
        "name": f"CREATE STREAM {word} (k STRING KEY, v BIGINT) {options};",
        "field": f"CREATE STREAM s (k STRING KEY, v STRUCT<{word} BIGINT>) {options};",
        "alias": f"CREATE STREAM s (k STRING KEY, v BIGINT) {options};"
        f"CREATE TABLE x AS SELECT k, COUNT(*) AS {word} FROM s GROUP BY k EMIT CHANGES;",
    }[place]


@pytest.mark.parametrize("place", PLACES)
def test_declarations_take_a_word_as_a_name_if_a_server_did(place: str) -> None:
    for row in recorded():
        if row[place] == "accepted":
            declare(place, row["word"].lower())
            continue
        with pytest.raises(KsqlError, match="reserved word"):
            declare(place, row["word"].lower())


@pytest.mark.parametrize("place", PLACES)
def test_the_stand_in_takes_a_word_as_a_name_if_a_server_did(place: str) -> None:
    for row in recorded():
        if row[place] == "accepted":
            execute_all(State(), text_with(place, row["word"].lower()))
            continue
        with pytest.raises(Refusal) as refused:
            execute_all(State(), text_with(place, row["word"].lower()))
        assert ("Syntax Error" in refused.value.message) == ("Syntax Error" in row[place]), row["word"]


@pytest.mark.parametrize("place", PLACES)
def test_a_plan_takes_a_word_as_a_name_if_a_server_did(place: str) -> None:
    for row in recorded():
        statements = split_tokens(text_with(place, row["word"].lower()))
        if "Syntax Error" not in row[place]:  # what else a server says of a name is not of the grammar
            assert all(describe(tokens).kind is not Kind.other for tokens in statements)
            continue
        with pytest.raises(LexError, match=r"reserved word|as a name it must be in backquotes|begins a statement"):
            describe(statements[-1])


def test_the_words_of_the_project_are_those_of_the_stand_in() -> None:
    assert RESERVED == words.RESERVED
    assert PSEUDO_COLUMNS == words.PSEUDO_COLUMNS


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t' VALUE_FORMAT='JSON');", 47),
        ("CREATE STREAM s (a INT,) WITH (KAFKA_TOPIC='t');", 24),
        ("CREATE TABLE t AS SELECT a, COUNT(*) AS minutes FROM s GROUP BY a;", 41),
        ("CREATE TABLE t AS SELECT a FROM s WINDOW TUMBLING (SIZE 1 WEEK) GROUP BY a;", 59),
        ("CREATE TABLE t AS SELECT a FROM s WINDOW TUMBLING (SIZE 1 DAY, GRACE PERIOD 1 DAY, RETENTION 1 DAY) GROUP BY a;", 82),
        ("CREATE STREAM t AS SELECT a FROM s WHERE a = ;", 46),
        ("CREATE STREAM t AS SELECT a FROM s ORDER BY a;", 42),
        ("CREATE STREAM t AS SELECT a FROM (SELECT b FROM s);", 34),
        ("INSERT INTO s SELECT 1;", 23),
        ("DROP STREAM s, t;", 14),
        ("SET a='b';", 5),
        ("UNSET a;", 7),
        ("CREATE STREAM s (a STRING (b INT));", 28),
        ("CREATE TABLE t AS SELECT a FROM s WINDOW `w` TUMBLING (SIZE 1 DAY) GROUP BY a;", 42),
    ],
)
def test_the_stand_in_refuses_what_the_grammar_does_not_have(text: str, column: int) -> None:
    (tokens,) = split_tokens(text)
    with pytest.raises(SyntaxRefusal) as refused:
        parse(tokens)
    assert (refused.value.line, refused.value.column) == (1, column)
    if tokens[0].text not in {"SET", "UNSET"}:  # these are for files: see test_plan_files
        with pytest.raises(LexError):
            describe(tokens)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t AS SELECT a FROM s WINDOW w TUMBLING (SIZE 1 DAY) GROUP BY a;",
        "CREATE STREAM s (a VARCHAR(10), b VARCHAR(STRING, 3));",
        "INSERT INTO s VALUES (+3, -3, + a);",
        "SET 'a'='b';",
        "DEFINE a='b';",
        "UNDEFINE a;",
    ],
)
def test_the_stand_in_takes_what_the_grammar_has(text: str) -> None:
    (tokens,) = split_tokens(text)
    parse(tokens)
    describe(tokens)


def test_the_sentinel_of_a_dry_run_is_a_name() -> None:
    assert SENTINEL not in words.RESERVED
