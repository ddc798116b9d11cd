"""Statements that only read are left out of a plan, each with its place; what remains is the plan without them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations.errors import PlanError
from migrations.ksql.parse.statement import Kind, describe
from migrations.plan import files as plan_files
from migrations.plan.compare import Action, compare
from migrations.plan.entry import Entry, Status
from migrations.plan.model import KsqlText, Plan, Statement, build_plan
from migrations.run.report import plan_data, reads_left_out, with_reads
from tests.unit.migrations.test_ksql_forms import STATEMENTS, taken

TWO = "CREATE STREAM b AS SELECT * FROM a EMIT CHANGES;"
READS = [text for text in STATEMENTS if taken(text) and describe(text).kind is Kind.read]
KEPT = [
    "CREATE STREAM {name} (x INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');",
    "CREATE TYPE {name} AS STRUCT<a INT>;",
    "CREATE TABLE {name} AS SELECT a, COUNT(*) AS n FROM b GROUP BY a EMIT CHANGES;",
    "INSERT INTO {name} VALUES (1);",
    "INSERT INTO {name} SELECT * FROM b EMIT CHANGES;",
    "ASSERT TOPIC {name};",
    "CREATE SINK CONNECTOR {name} WITH ('connector.class'='x');",
    "DROP STREAM {name};",
    "TERMINATE {name};",
]


def of_texts(texts: list[str]) -> Plan:
    """The plan of a destructive file that holds these statements, a line each."""
    return build_plan("p", [KsqlText("\n".join(texts), "p.sql", "p", destructive=True, in_lines=True)], {}, {})


@given(st.lists(st.sampled_from(KEPT) | st.sampled_from(READS), min_size=1, max_size=12))
def test_exactly_what_reads_is_left_out_and_changes_nothing_of_the_rest(forms: list[str]) -> None:
    texts = [form.format(name=f"o{number}") if form in KEPT else form for number, form in enumerate(forms)]
    plan = of_texts(texts)
    kept = [text for text, form in zip(texts, forms, strict=True) if form in KEPT]
    alone = of_texts(kept).statements if kept else ()
    assert [(one.id, one.hash, one.text) for one in plan.statements] == [(one.id, one.hash, one.text) for one in alone]
    assert [one.line for one in plan.reads] == [number for number, form in enumerate(forms, 1) if form not in KEPT]


def test_every_form_of_a_read_is_left_out() -> None:
    assert {text.split()[0] for text in READS} == {"SELECT", "PRINT", "SHOW", "LIST", "DESCRIBE", "EXPLAIN"}
    assert of_texts(READS).statements == ()
    assert len(of_texts(READS).reads) == len(READS) > 200


def test_a_read_is_told_with_its_file_line_and_first_words(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text(f"-- one\n{TWO}\nselect  *\n  from b emit changes; SHOW STREAMS;\n")
    (tmp_path / "0002_b.ksql").write_text(f"SELECT {', '.join(f'column_{n}' for n in range(30))} FROM b;")
    plan = plan_files.load(tmp_path, {})
    assert [one.id for one in plan.statements] == ["0001_a/B"]
    lines = reads_left_out(plan)
    assert lines[0] == f"{tmp_path / '0001_a.sql'}:3: select * from b emit changes;: reads only; left out"
    assert lines[1] == f"{tmp_path / '0001_a.sql'}:4: SHOW STREAMS;: reads only; left out"
    assert lines[2].endswith(
        "0002_b.ksql:1: SELECT column_0, column_1, column_2, column_3, column_4, co…: reads only; left out"
    )
    assert [(one["line"], one["why"]) for one in plan_data(plan)["left_out"]] == [
        (3, "reads only"),
        (4, "reads only"),
        (1, "reads only"),
    ]
    assert with_reads("1 applied", plan) == "1 applied; 3 that only read are left out"


def test_a_summary_counts_one_read_and_says_nothing_of_none() -> None:
    assert with_reads("done", of_texts([TWO, "LIST TYPES;"])) == "done; 1 that only reads is left out"
    assert with_reads("done", of_texts([TWO])) == "done"


def test_a_setting_before_a_read_alone_is_none_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "p.sql").write_text(f"SET 'a'='earliest';\n{TWO}\nSET 'a'='latest';\nSELECT * FROM b EMIT CHANGES;")
    plan = plan_files.load(tmp_path / "p.sql", {})
    assert (plan.properties, plan.statements[0].properties, len(plan.reads)) == ({"a": "earliest"}, {"a": "earliest"}, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"SELECT * FROM a\n{TWO}", r"p.sql: line 2, column 1: CREATE begins a statement: the one before it, from line 1"),
        ("SELECT * FROM a\nSET 'b'='c';", r"p.sql: line 2, column 5: 'b' cannot follow SET here"),
        ("SELECT a FROM;", r"p.sql: line 1, column 10: more must follow FROM"),
        ("SHOW STREAMS EXPLAIN q;", r"p.sql: line 1, column 1: SHOW is written like SHOW STREAMS;"),
        ("PRINT 'a'\nDROP STREAM b;", r"p.sql: line 2, column 1: DROP begins a statement"),
        ("EXPLAIN SELECT * FROM a EMIT;\nSELECT x y z FROM a;", r"p.sql: line 2, column 12: z cannot follow y here"),
        ("SELECT '${v}' FROM a;", r"p.sql: line 1, column 8: \$\{v\} has no value"),
        ("SELECT * FROM a", r"p.sql: line 1, column 1: the last statement does not end with ;"),
    ],
)
def test_a_read_hides_no_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.sql").write_text(text)
    with pytest.raises(PlanError, match=said):
        plan_files.load(tmp_path / "p.sql", {})


@pytest.mark.parametrize("name", ["p.yaml", "p.json", "p.py"])
def test_data_and_code_name_what_is_applied_and_no_reads(tmp_path: Path, name: str) -> None:
    form = "def statements():\n    return ['LIST TYPES;']" if name == "p.py" else '{"statements": ["LIST TYPES;"]}'
    (tmp_path / name).write_text(form)
    with pytest.raises(PlanError, match=r"LIST TYPES;: it only reads, and leaves nothing on the server: take it out"):
        plan_files.load(tmp_path / name, {})


def test_a_read_that_comes_or_goes_is_no_change_of_an_applied_plan() -> None:
    def entry(statement: Statement) -> Entry:
        return Entry(
            id=statement.id,
            hash=statement.hash,
            name=statement.name,
            text=statement.text,
            status=Status.applied,
            app_id="a",
            app_version="1",
            user="me",
            cluster_id="c",
            plan="p",
            applied_at=1,
        )

    with_read, without = of_texts(["SHOW STREAMS;", TWO, "SELECT * FROM b EMIT CHANGES;"]), of_texts([TWO])
    for before, after in ((with_read, without), (without, with_read)):
        history = {one.id: entry(one) for one in before.statements}
        assert [step.action for step in compare(after, history, None)] == [Action.done]
