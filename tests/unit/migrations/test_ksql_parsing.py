"""Tokens, splitting, normal form and hash: only differences without a meaning leave the hash unchanged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import Lexeme, lex, tokenize
from migrations.ksql.parse.masking import masked
from migrations.ksql.parse.normal import normal_form, split, statement_hash, strip_comments, substitute
from migrations.ksql.parse.rewrite import if_not_exists
from migrations.ksql.parse.statement import Kind, describe

DATA = Path(os.environ.get("BARWHEEL_TEST_DATA") or Path(__file__).parents[4] / "shared") / "ksqldb"

words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
plain = st.text(st.characters(codec="utf-8", exclude_characters="'`\"\0", exclude_categories=["Cs"]), max_size=12)
strings = plain.map(lambda text: f"'{text}'") | st.just("'it''s'") | st.just("'a;b'") | st.just("'-- no comment'")
quoted = plain.map(lambda text: f"`{text}`") | plain.map(lambda text: f'"{text}"') | st.just("`a``b`") | st.just('"x;y"')
numbers = st.integers(0, 10**9).map(str) | st.sampled_from(["1.5", ".5", "2e10", "1.0E-3"])
symbols = st.sampled_from(
    ["->", ":=", "=>", "||", "<>", "!=", "<=", ">=", "(", ")", ",", ".", "=", "<", ">", "+", "*", "/", "%"]
)
tokens = st.lists(words | strings | quoted | numbers | symbols, min_size=1, max_size=12)
spaces = st.text(st.sampled_from(" \t\r\n"), min_size=1, max_size=3)
comments = st.sampled_from([" -- a ; 'comment\n", " /* ; ' ` */ ", " --@directive\n", " /**/ ", " -- ---\n"])
gaps = spaces | comments


@given(tokens, st.data())
def test_spacing_comments_and_the_case_of_words_never_change_a_hash(parts: list[str], data: st.DataObject) -> None:
    def varied(part: str) -> str:
        return data.draw(st.sampled_from([part.upper(), part.lower(), part.swapcase()])) if part[0].isalpha() else part

    text = " ".join(parts) + ";"
    other = "".join(varied(part) + data.draw(gaps) for part in parts) + ";" + data.draw(st.just("") | gaps)
    assert normal_form(other) == normal_form(text)
    assert statement_hash(other) == statement_hash(text)


@given(tokens, st.data())
def test_another_token_changes_the_hash(parts: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(parts) - 1))
    one, before, after = parts[at], parts[:at], parts[at + 1 :]
    other = data.draw(words | strings | quoted | numbers | symbols | st.just(one.swapcase()))
    changed = data.draw(
        st.sampled_from([[*before, other, *after], [*before, *after], [*before, one, one, *after], [one, *before, *after]])
    )
    same = [_normal(part) for part in changed] == [_normal(part) for part in parts]
    assert (statement_hash(" ".join(changed)) == statement_hash(" ".join(parts))) is same
    assert statement_hash(" ".join([*parts, "more"])) != statement_hash(" ".join(parts))


@given(st.lists(tokens, min_size=1, max_size=3), st.data())
def test_the_sent_text_has_the_hash_of_the_written_text(many: list[list[str]], data: st.DataObject) -> None:
    text = "".join("".join(part + data.draw(gaps) for part in parts) + ";" for parts in many)
    cleaned = strip_comments(text)
    assert [statement_hash(one) for one in split(cleaned)] == [statement_hash(one) for one in split(text)]
    assert not any(token.kind is Lexeme.comment for token in lex(cleaned))
    assert strip_comments(cleaned) == cleaned


def _normal(part: str) -> str:
    """The normal form of one token, computed in another way."""
    if part[0] == '"':
        return "`" + part[1:-1].replace("`", "``") + "`"
    return part if part[0] in "'`" else {"!=": "<>"}.get(part, part.upper())


@given(st.lists(tokens, min_size=1, max_size=6), st.data())
def test_statements_joined_by_semicolons_are_split_into_themselves(many: list[list[str]], data: st.DataObject) -> None:
    statements = [" ".join(parts) + ";" for parts in many]
    text = "".join(data.draw(st.just("") | gaps) + statement + data.draw(st.just("") | gaps) for statement in statements)
    assert split(text) == statements


@given(st.lists(words | strings | quoted | numbers | symbols | gaps, max_size=20).map("".join))
def test_the_joined_tokens_are_the_text(text: str) -> None:
    try:
        found = list(lex(text))
    except LexError as error:
        assert error.line >= 1  # noqa: PT017  # what random text cannot be read as is said with its place
        return
    assert "".join(token.text for token in found) == text
    for token in found:
        before = text[: token.start]
        assert text.startswith(token.text, token.start)
        assert (token.line, token.column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 'abc", r"line 1, column 8: a string without its end"),
        ("SELECT\n  `abc", r"line 2, column 3: an identifier without its end"),
        ("/* abc", r"line 1, column 1: a comment without its end"),
        ("LIST\u00a0TYPES;", r"line 1, column 5: U\+00A0 .* cannot stand here: write a space instead"),
        ("SELECT \u201ca\u201d;", r"line 1, column 8: U\+201C .* cannot stand here: write ' instead"),
        ("LIST {TYPES};", r"line 1, column 6: U\+007B .* cannot stand here: only strings and quoted names may hold it"),
        ("LIST \\ TYPES;", r"line 1, column 6: U\+005C"),
        ("\ufeffLIST TYPES;", r"line 1, column 1: U\+FEFF"),
        ("LIST\fTYPES;", r"line 1, column 5: U\+000C"),
        ("LIST TYPES;;", r"line 1, column 12: an empty statement"),
        ("LIST TYPES;\nLIST TYPES", r"line 2, column 1: the last statement does not end with ;"),
        ("SELECT ${a b};", r"line 1, column 8: a variable is written"),
    ],
)
def test_an_error_in_ksql_has_its_position(text: str, said: str) -> None:
    with pytest.raises(LexError, match=said):
        split(text)


def test_a_line_of_two_dashes_swallows_the_next_one_as_on_the_server() -> None:
    assert split("--\nLIST TYPES;\nSHOW STREAMS;") == ["SHOW STREAMS;"]


def test_a_backslash_at_the_end_of_a_line_is_white_space_and_is_not_sent() -> None:
    text = "CREATE STREAM a (x INT) \\\n  WITH (KAFKA_TOPIC='a \\\n b', \\ \t\r\n    VALUE_FORMAT='JSON');"
    assert strip_comments(text) == "CREATE STREAM a (x INT)\n  WITH (KAFKA_TOPIC='a \\\n b',\n    VALUE_FORMAT='JSON');"
    assert statement_hash(text) == statement_hash(strip_comments(text))
    assert describe(text).topic == "a \\\n b"


def test_variables_are_replaced_in_strings_and_names_but_not_in_comments() -> None:
    text = "CREATE STREAM ${p}ticks -- ${nothing}\nWITH (KAFKA_TOPIC='${t}.v1');"
    assert (
        substitute(text, {"p": "my_", "t": "ticks"}) == "CREATE STREAM my_ticks -- ${nothing}\nWITH (KAFKA_TOPIC='ticks.v1');"
    )
    with pytest.raises(LexError, match=r"line 2, column 19: \$\{t\} has no value \(known: p\)"):
        substitute(text, {"p": "my_"})
    with pytest.raises(LexError, match=r"line 2, column 19: a value ends '\$\{t\}.v1' early: double the quotes in the value"):
        substitute(text, {"p": "my_", "t": "it's"})


def test_comments_are_not_sent() -> None:
    assert strip_comments("-- first\nLIST /* all */ TYPES; -- last\n") == "LIST TYPES;"
    assert strip_comments("SELECT  a, -- one\r\n\r\n  -- two\r\n  b/**/c  \nFROM 't  \n\n --';") == (
        "SELECT  a,\n  b c\nFROM 't  \n\n --';"
    )


def test_token_kinds() -> None:
    kinds = [token.kind for token in tokenize("a `b` 'c' 1.5 -> ${d}")]
    assert kinds == [Lexeme.word, Lexeme.quoted, Lexeme.string, Lexeme.number, Lexeme.symbol, Lexeme.variable]


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("CREATE STREAM a (x INT) WITH (KAFKA_TOPIC='t');", Kind.create_stream, "A"),
        ("create or replace table `a b` as select * from c emit changes;", Kind.create_table_as, "a b"),
        ("CREATE STREAM a (as_ INT, select_ INT) WITH (KAFKA_TOPIC='AS SELECT');", Kind.create_stream, "A"),
        ("CREATE SOURCE TABLE IF NOT EXISTS t (a INT PRIMARY KEY);", Kind.create_table, "T"),
        ("INSERT INTO a WITH (QUERY_ID='Q') SELECT * FROM b;", Kind.insert_select, "A"),
        ("CREATE TYPE x AS STRUCT<a INT>;", Kind.create_type, "X"),
        ("INSERT INTO a VALUES (1);", Kind.insert_values, "A"),
        ("insert into a (x) values ('SELECT');", Kind.insert_values, "A"),
        ("DROP STREAM IF EXISTS `a` DELETE TOPIC;", Kind.drop, "a"),
        ("DROP CONNECTOR c;", Kind.drop, "C"),
        ("TERMINATE q_1;", Kind.terminate, "Q_1"),
        ("TERMINATE ALL;", Kind.other, ""),
        ("ASSERT TOPIC 't' WITH (PARTITIONS=1) TIMEOUT 1 SECONDS;", Kind.check, "t"),
        ("ASSERT NOT EXISTS SCHEMA SUBJECT s ID 3;", Kind.check, "s"),
        ("CREATE SINK CONNECTOR IF NOT EXISTS `c-1` WITH ('connector.class'='x');", Kind.create_connector, "c-1"),
        ("CREATE SOURCE CONNECTOR c WITH ('connector.class'='x');", Kind.create_connector, "C"),
    ],
)
def test_describe_finds_the_kind_and_name_of_a_statement(text: str, kind: Kind, name: str) -> None:
    found = describe(text)
    assert (found.kind, found.name) == (kind, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # a statement without its semicolon
        ("CREATE TYPE x AS INT\nCREATE TYPE y AS INT;", r"line 2, column 1: CREATE begins .* from line 1, lacks its ;"),
        ("SELECT * FROM a\n\ninsert INTO b VALUES (1);", r"line 3, column 1: insert begins a statement"),
        ("CREATE STREAM a AS SELECT * FROM b\nDROP STREAM b;", r"line 2, column 1: DROP begins a statement"),
        ("ASSERT TOPIC a\nTERMINATE q;", r"line 2, column 1: TERMINATE begins a statement"),
        ("CREATE STREAM a (x INT)\nPRINT 'a';", r"line 2, column 1: PRINT begins a statement"),
        ("CREATE STREAM a (x INT)\nselect * FROM a;", r"line 2, column 1: select begins a statement"),
        ("CREATE STREAM a AS SELECT * FROM b\nSELECT * FROM a;", r"line 2, column 1: SELECT begins a statement"),
        ("CREATE SOURCE CONNECTOR c WITH ('a'='b')\nLIST CONNECTORS;", r"line 2, column 1: LIST begins a statement"),
        # a name that ends where nobody wanted it to
        ("CREATE SOURCE CONNECTOR a-b WITH ('x'='y');", r"line 1, column 26: - follows the name a, where WITH must be; a name"),
        ("CREATE STREAM a.b (x INT);", r"column 16: \. follows the name a, where \( or WITH or AS or ; must be"),
        ("CREATE TABLE a b AS SELECT * FROM c;", r"column 16: b follows the name a"),
        ("CREATE TYPE a STRUCT<x INT>;", r"column 15: STRUCT follows the name a, where AS must be"),
        ("INSERT INTO a-b SELECT * FROM c;", r"column 14: - follows the name a, where \( or WITH or SELECT must be"),
        ("INSERT INTO a-b VALUES (1);", r"column 14: - follows the name a, where \( or VALUES must be"),
        ("DROP STREAM a-b;", r"column 14: - follows the name a, where DELETE or ; must be"),
        ("DROP CONNECTOR a-b;", r"column 17: - follows the name a, where ; must be"),
        ("TERMINATE a-b;", r"column 12: - follows the name a, where ; must be"),
        (
            "CREATE STREAM minutes (x INT);",
            r"column 15: minutes is a reserved word: take another name, or put it in",
        ),
        ("CREATE TABLE AS SELECT * FROM a;", r"column 14: AS is a reserved word"),
        ("INSERT INTO VALUES (1);", r"column 13: VALUES is a reserved word"),
        # options that are read otherwise than they look
        ("CREATE SINK CONNECTOR c WITH ('a'='b'\n 'c'='d');", r"line 2, column 2: a comma or \) must follow the value of 'a'"),
        ("CREATE STREAM s WITH (KAFKA_TOPIC:'t');", r"column 34: = must follow KAFKA_TOPIC"),
        ("CREATE STREAM s WITH (KAFKA_TOPIC='t',);", r"column 39: \) stands where the name of an option must be"),
        ("CREATE STREAM s WITH (KAFKA_TOPIC=t);", r"column 35: the value of KAFKA_TOPIC must be text in single quotes"),
        ("CREATE STREAM s WITH (KAFKA_TOPIC='t';", r"column 35: a WITH without its \)"),
    ],
)
def test_what_would_be_another_statement_than_it_looks_is_refused(text: str, said: str) -> None:
    with pytest.raises(LexError, match=said):
        describe(text)


@pytest.mark.parametrize("value", ["'t'", "3", "-1", "1.5", "true", "NULL"])
def test_every_constant_is_a_value_of_an_option(value: str) -> None:
    text = f"CREATE STREAM s (x INT) WITH (KAFKA_TOPIC='t', `a`={value}, 'b.c'={value});"
    assert describe(text).topic == "t"


@pytest.mark.parametrize(
    ("window", "windowed"),
    [
        ("WINDOW TUMBLING (SIZE 1 MINUTE)", True),
        ("window session (1 minute)", True),
        ("WINDOW by_minute HOPPING (SIZE 1 MINUTE, ADVANCE BY 1 SECOND)", True),
        ("WHERE `WINDOW` = 'TUMBLING'", False),
        ("", False),
    ],
)
def test_a_windowed_aggregation_is_known_by_its_window_with_or_without_a_name(window: str, *, windowed: bool) -> None:
    text = f"CREATE TABLE t AS SELECT a, COUNT(*) FROM s {window} GROUP BY a EMIT CHANGES;"
    assert describe(text).windowed is windowed


def test_the_id_of_a_query_is_in_upper_case_as_on_the_server() -> None:
    assert describe("INSERT INTO a WITH (query_id='ksql_Q') SELECT * FROM b;").query_id == "KSQL_Q"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("create table t (a INT);", "create table IF NOT EXISTS t (a INT);"),
        ("CREATE SOURCE TABLE t (a INT);", "CREATE SOURCE TABLE IF NOT EXISTS t (a INT);"),
        ("CREATE TYPE x AS STRUCT<a INT>;", "CREATE TYPE IF NOT EXISTS x AS STRUCT<a INT>;"),
        ("INSERT INTO a SELECT * FROM b;", "INSERT INTO a SELECT * FROM b;"),
    ],
)
def test_if_not_exists_is_inserted_where_the_grammar_has_it(text: str, sent: str) -> None:
    assert if_not_exists(text) == sent


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded exchanges in {DATA}")
def test_every_recorded_statement_that_a_server_accepted_is_parsed() -> None:
    read = 0
    for path in sorted((DATA / "transcripts").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            exchange = json.loads(line)
            body = exchange.get("request", {}).get("body")
            if isinstance(body, dict) and (exchange["response"] or {}).get("status") == 200 and "ksql" in body:
                for statement in split(body["ksql"]):
                    describe(statement)
                    read += 1
    assert read > 250


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded statements in {DATA}")
def test_what_a_server_took_is_taken_and_its_syntax_errors_are_found() -> None:
    found = dict.fromkeys(("accepted", "syntax"), 0)
    for line in (DATA / "8.3.1" / "dsl.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts = row["statements"] or ()
        if row["server"] == "accepted":
            found["accepted"] += bool([describe(one) for text in texts for one in split(text)])
        elif "Syntax Error" in row["server"]:
            found["syntax"] += 1
            with pytest.raises(LexError):
                [describe(one) for text in texts for one in split(text)]
    assert (found["accepted"] > 200, found["syntax"] > 10) == (True, True)


@pytest.mark.parametrize(
    "options",
    ["'password'=\"pa55\"", "'password'=pa55", "'password' 'pa55'", "'a'='pa55' 'b'='c'", "'a'='b' pa55"],
)
def test_no_value_of_a_connector_is_shown_where_it_is_written_wrongly(options: str) -> None:
    text = f"CREATE SOURCE CONNECTOR c WITH ({options});"
    with pytest.raises(LexError, match=r"line 1, column \d+: .*(must|without)") as raised:
        describe(text)
    assert "pa55" not in str(raised.value)


def test_no_value_of_a_variable_is_shown_where_it_would_end_its_string() -> None:
    with pytest.raises(LexError, match="double the quotes") as raised:
        substitute("CREATE SOURCE CONNECTOR c WITH ('password'='${password}');", {"password": "it's"})
    assert "it's" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("'a'='s', 'topics'='t', \"connector.class\"='x'", "'a'='[string]', 'topics'='t', \"connector.class\"='x'"),
        ("'a'=\"s\"", "'a'='[string]'"),
        ("'a' 's', 'b'='s' 's'", "'a' '[string]', 'b'='[string]' '[string]'"),
    ],
)
def test_the_values_of_a_connector_are_masked_even_where_it_is_written_wrongly(options: str, shown: str) -> None:
    text = "/* c */ create sink connector if not exists `c` WITH ({});"
    assert masked(text.format(options)) == text.format(shown)
    other = "CREATE STREAM connector_s WITH (KAFKA_TOPIC='CONNECTOR');"
    assert masked(other) == other
