"""The forms of statements: those of the server's grammar are taken, and no others. The stand-in's own parser tells which."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import GAPS, lex, tokenize
from migrations.ksql.parse.normal import split_tokens
from migrations.ksql.parse.statement import Kind, describe, describe_executed
from tests.ksqldb_server.refusal import SyntaxRefusal
from tests.ksqldb_server.syntax import parse


def forms(text: str) -> list[str]:
    """What stands between bars."""
    return [" ".join(one.split()) for one in text.split("|")]


BODIES = forms(
    """
    (a INT) WITH (A='b') | WITH (A='b') | AS SELECT * FROM b | (a INT) AS SELECT * FROM b | WITH (A='b') AS
    SELECT * FROM b | AS INT |  | AS STRUCT<a INT> | (a INT) | AS SELECT * FROM b WITH (A='b') | AS AS SELECT
    * FROM b | SELECT * FROM b | WITH A='b' | (a) | (a INT,)
    """
)
INSERTED = forms(
    """
    VALUES (1) | (a) VALUES (1) | (a, b) VALUES (1, 2) | VALUES () | VALUES (1), (2) | WITH (QUERY_ID='q')
    VALUES (1) | SELECT * FROM b | (a) SELECT * FROM b | WITH (QUERY_ID='q') SELECT * FROM b | VALUES 1 | (a)
    (b) VALUES (1) | () VALUES (1) | AS SELECT * FROM b | VALUES (CAST(1 AS BIGINT), ARRAY[1], MAP('a':=1),
    STRUCT(a:=1), -2, NULL, TRUE) | VALUES (1 2)
    """
)
ASSERTED = forms(
    """
    TOPIC t | TOPIC 't' | SCHEMA | SCHEMA SUBJECT s | SCHEMA ID 3 | SCHEMA SUBJECT 's' ID 3 | SCHEMA ID 3
    SUBJECT s | TOPIC | STREAM x
    """
)
LISTED = forms(
    """
    TOPICS | ALL TOPICS | ALL TOPICS EXTENDED | STREAMS | STREAMS EXTENDED | TABLES EXTENDED | QUERIES
    EXTENDED | PROPERTIES | FUNCTIONS | TYPES | VARIABLES | CONNECTORS | SOURCE CONNECTORS | SINK CONNECTORS |
    CONNECTOR PLUGINS | PROPERTIES EXTENDED | SOURCE STREAMS | CONNECTOR | ALL STREAMS | COLUMNS | COLUMNS
    FROM x |  | QUERY | TOPICS TOPICS | `STREAMS`
    """
)
DESCRIBED = forms(
    """
    a | a EXTENDED | EXTENDED a | STREAMS | STREAMS EXTENDED | TABLES | TABLES EXTENDED | FUNCTION f |
    FUNCTION | CONNECTOR c | CONNECTOR | `a b` | 'a' | FUNCTION f EXTENDED | CONNECTOR `c-1` | TYPES | QUERY q
    | a b
    """
)
PRINTED = forms(
    """
    t | 't' | `t` | t FROM BEGINNING | t INTERVAL 2 | t SAMPLE 2 | t FROM BEGINNING INTERVAL 2 LIMIT 3 | t
    LIMIT 3 FROM BEGINNING | t-a | t.a |  | t FROM | LIMIT LIMIT 3 | INTERVAL INTERVAL 3 | t LIMIT -3 | t
    LIMIT x
    """
)
EXPLAINED = forms(
    """
    q | q r | `q` | SELECT * FROM a | CREATE STREAM a AS SELECT * FROM b | INSERT INTO a SELECT * FROM b |
    EXPLAIN q | SHOW STREAMS |
    """
)
SELECTED = forms(
    """
    * | a, b c, d AS e | a.*, b->* | a->b, c[1]->d | COUNT(*), f(), g(1, DAYS), h(c, x => x + 1), i(c, (a, b) => a)
    | CASE WHEN a THEN 1 END | CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END | CAST(a AS ARRAY<MAP<STRING,
    STRUCT<b DECIMAL(3, 2)>>>) | DATE '2020-01-01' | a b c | a, | (a, b) | a + | a 'b' | CASE END | CAST(a) |
    CAST(a AS) | f( | a[ | a-> | NOT a = -b | a AT TIME ZONE 'UTC' | a AS select | 'it''s' | 1.5 2
    """
)
CLAUSES = forms(
    """
     | EMIT CHANGES | EMIT FINAL | EMIT | EMIT EMIT CHANGES | LIMIT 3 | EMIT CHANGES LIMIT 3 | LIMIT 3 EMIT
    CHANGES | WHERE a = 1 AND NOT b | WHERE | WHERE a IS NOT NULL OR b IS DISTINCT FROM c | WHERE a IN (1, 2)
    AND b NOT BETWEEN 1 AND 2 | WHERE a LIKE 'b' ESCAPE '!' | WHERE a NOT IN 1 | WHERE a IS b | GROUP BY a, b
    | GROUP BY (a, b) | GROUP BY (a), b + 1 HAVING COUNT(*) > 1 | GROUP BY () | GROUP a | PARTITION BY (a) |
    PARTITION BY a GROUP BY b | WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY a | WINDOW w SESSION (1 DAYS, GRACE
    PERIOD 1 HOUR) | WINDOW TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 1 HOUR, RETENTION 1 DAY) | WINDOW HOPPING
    (SIZE 1 HOUR, ADVANCE BY 1 MINUTE) | WINDOW HOPPING (SIZE 1 HOUR) | WINDOW SESSION (SIZE 1 HOUR) | b JOIN
    c ON b.a = c.a | AS b LEFT OUTER JOIN c d WITHIN 1 HOUR ON b.a = d.a | b FULL JOIN c WITHIN (1 HOUR, 2
    HOURS) GRACE PERIOD 1 DAY ON b.a = c.a INNER JOIN d ON TRUE | b OUTER JOIN c ON TRUE | b JOIN c | b c |
    SET 'a'='b' | EXPLAIN q | SHOW STREAMS | ASSERT TOPIC t | DEFINE a='b' | ALTER STREAM a ADD b INT
    """
)
OPTIONAL = ("", "IF NOT EXISTS")
STATEMENTS = [
    *(
        f"CREATE {replace} {role} {kind} {there} x {body};"
        for replace, role, kind, there, body in product(
            ("", "OR REPLACE"), ("", "SOURCE", "SINK"), ("STREAM", "TABLE", "TYPE", "CONNECTOR"), OPTIONAL, BODIES
        )
    ),
    *(
        f"DROP {kind} {there} x {more};"
        for kind, there, more in product(
            ("STREAM", "TABLE", "TYPE", "CONNECTOR", "QUERY"),
            ("", "IF EXISTS", "IF NOT EXISTS"),
            ("", "DELETE TOPIC", "CASCADE"),
        )
    ),
    *(f"TERMINATE {what};" for what in ("q", "QUERY q", "`q`", "'q'", "q r", "")),
    *(
        f"ASSERT {there} {what} {options} {limit};"
        for there, what, options, limit in product(
            ("", "NOT EXISTS"), ASSERTED, ("", "WITH (A=1)"), ("", "TIMEOUT 3 SECONDS", "TIMEOUT 3 WEEKS")
        )
    ),
    *(f"INSERT INTO x {body};" for body in INSERTED),
    *(f"{word} {what};" for word, what in product(("SHOW", "LIST"), LISTED)),
    *(f"DESCRIBE {what};" for what in DESCRIBED),
    *(f"PRINT {what};" for what in PRINTED),
    *(f"EXPLAIN {what};" for what in EXPLAINED),
    *(f"SELECT {items} FROM a {clauses};" for items, clauses in product(SELECTED, CLAUSES)),
]


def of_grammar(text: str) -> bool:
    """Whether the stand-in's parser takes it."""
    try:
        for tokens in split_tokens(text):
            parse(tokens)
    except (LexError, SyntaxRefusal):
        return False
    return True


def taken(text: str) -> bool:
    """Whether a plan would take it, or leave it out as a read."""
    try:
        return describe(text).kind is not Kind.other
    except LexError:
        return False


def test_the_forms_of_the_grammar_are_taken_and_no_others() -> None:
    wrong = {text: taken(text) for text in STATEMENTS if taken(text) is not of_grammar(text)}
    assert wrong == {}
    assert len(STATEMENTS) > sum(map(taken, STATEMENTS)) > 450


@given(st.sampled_from(STATEMENTS), st.sampled_from(STATEMENTS), st.data())
def test_a_statement_that_lost_or_got_a_word_is_taken_only_if_the_grammar_has_it(
    one: str, other: str, data: st.DataObject
) -> None:
    words, more = ([token.text for token in tokenize(text)] for text in (one, other))
    at = data.draw(st.integers(0, len(words) - 2))
    word = data.draw(st.sampled_from(more[:-1]))
    kept = words[at] if data.draw(st.booleans()) else ""
    changed = " ".join([*words[:at], data.draw(st.sampled_from([word, ""])), kept, *words[at + 1 :]])
    told = [token for token in lex(changed) if token.kind not in GAPS]
    if taken(changed) and told[0].text.upper() not in {"SELECT", "EXPLAIN", "CREATE", "INSERT"}:
        assert of_grammar(changed)  # of an expression, the order of its operators is the server's
    if of_grammar(changed) and told[0].text.upper() not in {"EXPLAIN", "SET", "DEFINE", "UNSET", "UNDEFINE", "ALTER"}:
        assert taken(changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CREATE OR REPLACE TYPE x AS INT;", "column 8: TYPE has no OR REPLACE: drop it in a destructive file before"),
        ("CREATE OR REPLACE SOURCE CONNECTOR x WITH (A='b');", "column 8: CONNECTOR has no OR REPLACE"),
        ("CREATE CONNECTOR x WITH (A='b');", "column 8: a connector is a SOURCE or a SINK"),
        ("CREATE SOURCE TYPE x AS INT;", "column 15: a type has no SOURCE"),
        ("CREATE STREAM a (b INT) AS SELECT * FROM c;", r"column 17: between a and SELECT only WITH and AS can be"),
        ("INSERT INTO a (b) SELECT * FROM c;", r"column 15: between a and SELECT only WITH can be"),
        ("SELECT a b c FROM d;", "column 12: c cannot follow b here"),
        ("SELECT a AS size FROM b;", "column 13: size cannot follow AS here; as a name it must be in backquotes"),
        ("CREATE STREAM a (b INT, Minutes INT) WITH (C='d');", "column 25: Minutes cannot follow , here; as a name it must be"),
        ("SELECT `a` `size` b FROM c;", "column 19: b cannot follow `size` here$"),
        ("SELECT * FROM a WHERE;", "column 17: more must follow WHERE"),
        ("SHOW STREAM;", "column 1: SHOW is written like SHOW STREAMS; or SHOW TABLES EXTENDED;"),
        ("DESCRIBE EXTENDED a;", "column 1: DESCRIBE is written like DESCRIBE name;"),
        ("EXPLAIN DROP STREAM a;", "column 1: EXPLAIN is written like EXPLAIN query_id; or EXPLAIN SELECT ..;"),
        (f"SELECT {'(' * 3000}a FROM b;", "parentheses are too deep in each other"),
    ],
)
def test_what_the_grammar_does_not_have_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(LexError, match=said):
        describe(text)


def test_the_name_and_topic_of_an_executed_statement_are_told_though_its_query_is_refused_today() -> None:
    text = "CREATE TABLE bar_5m WITH (KAFKA_TOPIC='five') AS SELECT k, WINDOWSTART minutes minutes FROM t GROUP BY k;"
    with pytest.raises(LexError):
        describe(text)
    found = describe_executed(text)
    assert (found.kind, found.name, found.topic) == (Kind.create_table_as, "BAR_5M", "five")


@given(st.sampled_from(STATEMENTS), st.data())
def test_no_executed_text_is_refused_whatever_was_left_out_of_it(text: str, data: st.DataObject) -> None:
    words = [token.text for token in tokenize(text)]
    kept = data.draw(st.lists(st.sampled_from(range(len(words))), unique=True).map(sorted))
    describe_executed(" ".join(words[at] for at in kept))
