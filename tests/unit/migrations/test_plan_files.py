"""Plans from files: their order, stable ids, and errors that name the file and the position."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.ksqldb.boot import load_plan
from app.settings import Settings
from migrations.errors import PlanError
from migrations.plan import files as plan_files
from tests.support.worker import ROOT

ONE = "CREATE STREAM a (x STRING KEY) WITH (KAFKA_TOPIC='${t}', VALUE_FORMAT='JSON');"
TWO = "CREATE STREAM b AS SELECT * FROM a EMIT CHANGES;"
T = {"t": "ticks"}
PLANS = Path(__file__).parent / "plans"


def test_the_same_statements_are_the_same_plan_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "text.ksql").write_text(f"-- two\n{ONE}\n{TWO}")
    (tmp_path / "data.json").write_text(json.dumps({"statements": [ONE, {"ksql": TWO}]}))
    (tmp_path / "data.yaml").write_text(f"statements:\n- |\n  {ONE}\n- ksql: {TWO}\n")
    (tmp_path / "code.py").write_text(f"def statements():\n    return [{ONE!r}, {TWO!r}]\n")
    plans = [plan_files.load(tmp_path / name, T) for name in ("text.ksql", "data.json", "data.yaml", "code.py")]
    for plan in plans:
        assert [one.text for one in plan.statements] == [ONE.replace("${t}", "ticks"), TWO]
        assert [one.hash for one in plan.statements] == [one.hash for one in plans[0].statements]
        assert [one.id.split("/")[1] for one in plan.statements] == ["A", "B"]


def test_the_plan_as_text_is_the_plan_as_code() -> None:
    plans = [plan_files.load(PLANS / name, {"finals": "f", "topics": ""}) for name in ("closes.py", "closes.yaml")]
    code, text = ([(one.id, one.text, one.hash) for one in plan.statements] for plan in plans)
    assert code == text
    assert plans[0].properties == plans[1].properties
    assert [one.id for one in plans[0].statements] == ["closes/MY_BARS", "closes/MY_CLOSES"]


def test_the_plan_in_the_documentation_is_loaded(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
    (tmp_path / "closes.py").write_text(text.partition("```python\n")[2].partition("```")[0])
    plan = plan_files.load(tmp_path / "closes.py", {"finals": "f", "topics": ""})
    assert [one.id for one in plan.statements] == ["closes/BARS", "closes/CLOSES"]


def test_a_shipped_plan_is_loaded_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {"ticks": "ticks", "topics": "", "partitions": "1"}
    assert plan_files.load(Path("bar1m"), variables).statements[0].id == "bar1m/KSQL_TICKS"
    with pytest.raises(PlanError, match=r"bar2m: no such file or directory, nor a shipped plan \(bar1m, history\)"):
        plan_files.load(Path("bar2m"), variables)


def test_a_plan_is_loaded_by_several_threads_at_once() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    with ThreadPoolExecutor(8) as pool:
        plans = list(pool.map(lambda path: load_plan(settings, path), [None, Path("bar1m")] * 20))
    assert {len(plan.statements) for plan in plans} == {6, 8}
    assert not [name for name in sys.modules if name.startswith("migrations.plan_")]


def test_a_directory_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "0002_b.ksql").write_text(TWO)
    (tmp_path / "0001_a.yaml").write_text(json.dumps({"statements": [{"id": "first", "ksql": ONE}], "properties": {"p": "v"}}))
    plan = plan_files.load(tmp_path, T)
    assert [one.id for one in plan.statements] == ["first", "0002_b/B"]
    assert plan.properties == {"p": "v"}


def test_an_insert_without_a_query_id_gets_one_of_its_file_and_target(tmp_path: Path) -> None:
    text = "INSERT INTO b SELECT * FROM a;\nINSERT INTO -- c\n b -- d\n SELECT * FROM c;INSERT INTO `b.c` SELECT * FROM a;"
    (tmp_path / "fill-up.ksql").write_text(text)
    (tmp_path / "given.ksql").write_text("INSERT INTO b WITH (QUERY_ID='FILL_UP_INTO_B') SELECT * FROM a;")
    plan, given = (plan_files.load(tmp_path / name, {}) for name in ("fill-up.ksql", "given.ksql"))
    queries = ["FILL_UP_INTO_B", "FILL_UP_INTO_B_2", "FILL_UP_INTO_B_C"]
    assert [one.id for one in plan.statements] == [f"fill-up/{query}" for query in queries]
    assert [one.info.query_id for one in plan.statements] == queries
    assert plan.statements[0].text == given.statements[0].text
    assert plan.statements[0].hash == given.statements[0].hash
    assert " ".join(plan.statements[1].text.split()) == "INSERT INTO b WITH (QUERY_ID='FILL_UP_INTO_B_2') SELECT * FROM c;"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("CREATE OR REPLACE STREAM a AS SELECT * FROM b;", "CREATE STREAM a AS SELECT * FROM b;"),
        ("CREATE STREAM IF NOT EXISTS a AS SELECT * FROM b;", "CREATE STREAM a AS SELECT * FROM b;"),
        ("create or -- c\n replace table if not exists a (x INT);", "create table a (x INT);"),
        ("CREATE SOURCE TABLE IF NOT EXISTS a (x INT);", "CREATE SOURCE TABLE a (x INT);"),
        ("CREATE TYPE IF NOT EXISTS a AS INT;", "CREATE TYPE a AS INT;"),
        ("CREATE STREAM IF AS SELECT * FROM b;", "CREATE STREAM IF AS SELECT * FROM b;"),
    ],
)
def test_or_replace_and_if_not_exists_are_never_trusted(tmp_path: Path, written: str, sent: str) -> None:
    (tmp_path / "p.ksql").write_text(written)
    (tmp_path / "q.ksql").write_text(sent)
    (one,), (other,) = (plan_files.load(tmp_path / name, {}).statements for name in ("p.ksql", "q.ksql"))
    assert (one.text, one.hash, one.info) == (sent, other.hash, other.info)


def test_a_later_statement_that_says_or_replace_replaces_an_earlier_one(tmp_path: Path) -> None:
    more = TWO.replace("CREATE", "create or -- c\n replace")
    (tmp_path / "0001_a.ksql").write_text(TWO)
    (tmp_path / "0002_b.ksql").write_text(f"{more}\n{more}")
    plan = plan_files.load(tmp_path, {})
    assert [(one.id, one.replaces, one.text) for one in plan.statements] == [
        ("0001_a/B", "", TWO),
        ("0002_b/B", "0001_a/B", TWO.replace("CREATE", "create")),
        ("0002_b/B#2", "0002_b/B", TWO.replace("CREATE", "create")),
    ]


def test_a_file_says_that_it_takes_something_away(tmp_path: Path) -> None:
    drop = "DROP STREAM IF EXISTS b DELETE TOPIC;"
    (tmp_path / "p.ksql").write_text(f"-- what was first\n--Destructive: YES\n{TWO}\n{drop}\nTERMINATE q;\n{TWO}")
    (tmp_path / "p.yaml").write_text(f"destructive: true\nstatements: [{json.dumps(drop)}]")
    (tmp_path / "p.py").write_text(f"DESTRUCTIVE = True\ndef statements():\n    return [{drop!r}]\n")
    made = [one.id for one in plan_files.load(tmp_path / "p.ksql", {}).statements]
    assert made == ["p/B", "p/DROP_B", "p/TERMINATE_Q", "p/B#2"]
    for name in ("p.yaml", "p.py"):
        assert [one.id for one in plan_files.load(tmp_path / name, {}).statements] == ["p/DROP_B"]


def test_what_is_executed_once_has_an_id_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "p.ksql").write_text(
        f"ASSERT TOPIC 't.1' TIMEOUT 1 SECONDS; {TWO} INSERT INTO b VALUES (1); INSERT INTO b (x) VALUES (2);"
        "ASSERT SCHEMA SUBJECT s; CREATE SINK CONNECTOR IF NOT EXISTS b WITH ('connector.class'='x');"
    )
    plan = plan_files.load(tmp_path / "p.ksql", {})
    ids = ["ASSERT_t.1", "B", "VALUES_INTO_B", "VALUES_INTO_B#2", "ASSERT_s", "CONNECTOR_B"]
    assert [one.id for one in plan.statements] == [f"p/{name}" for name in ids]
    assert (plan.connectors, plan.statements[-1].text) == (True, "CREATE SINK CONNECTOR b WITH ('connector.class'='x');")


def test_files_of_ksql_migrations_are_read_as_they_are(tmp_path: Path) -> None:
    """Their names, SET, DEFINE and UNSET; numbers may be missing."""
    one = "-- the head\nSET 'auto.offset.reset' = 'earliest';\nDEFINE name='a';DEFINE both='${name}_b';\n"
    (tmp_path / "V000001__first.sql").write_text(
        one + ONE.replace("STREAM a", "STREAM ${both}") + "\nUNSET 'auto.offset.reset';"
    )
    (tmp_path / "V000004__second.sql").write_text("SET 'auto.offset.reset'='earliest';" + TWO.replace("FROM a", "FROM a_b"))
    plan = plan_files.load(tmp_path, T)
    assert [one.id for one in plan.statements] == ["V000001__first/A_B", "V000004__second/B"]
    assert plan.properties == {"auto.offset.reset": "earliest"}
    assert plan_files.load(tmp_path, {**T, "name": "c"}).statements[0].name == "A_B"  # `both` was made of the file's name
    assert plan_files.load(tmp_path, {**T, "both": "c"}).statements[0].name == "C"


def test_set_and_define_hold_for_the_statements_after_them_in_their_file(tmp_path: Path) -> None:
    """As in ksql-migrations, where each file begins with nothing set."""
    (tmp_path / "0001_a.ksql").write_text(
        f"DEFINE n='a'; SET 'x'='1';\n{TWO.replace('STREAM b', 'STREAM ${n}1')}\nSET 'x'='2'; SET 'y'='it''s';\n"
        f"{TWO.replace('STREAM b', 'STREAM ${n}2')} DEFINE n='c';\n"
        f"UNSET 'x';{TWO.replace('STREAM b', 'STREAM ${n}3')}\nUNDEFINE n;\n -- the end\nUNSET 'y';"
    )
    (tmp_path / "0002_b.ksql").write_text(TWO)
    plan = plan_files.load(tmp_path, {})
    assert [(one.name, one.properties, one.origin.rpartition("ksql")[2]) for one in plan.statements] == [
        ("A1", {"x": "1"}, ", line 2"),
        ("A2", {"x": "2", "y": "it's"}, ", line 4"),
        ("C3", {"y": "it's"}, ", line 5"),
        ("B", {}, ", line 1"),
    ]
    assert plan.properties == {}
    given = plan_files.load(tmp_path, {"n": "d"})  # as by --define
    assert [one.name for one in given.statements] == ["D1", "D2", "D3", "B"]
    (tmp_path / "0002_b.ksql").write_text(TWO.replace("STREAM b", "STREAM ${n}"))
    with pytest.raises(PlanError, match=r"0002_b.ksql: line 1, column 15: \$\{n\} has no value"):
        plan_files.load(tmp_path, {})


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["DEFINE n='a'; {}", "{}"], "0002_p"),  # in a later file
        (["{}", "DEFINE n='a'; {}"], "0001_p"),  # in an earlier one
        (["{} DEFINE n='a';"], "0001_p"),  # before it in its file
        (["DEFINE n='a'; UNDEFINE n; {} DEFINE n='b';"], "0001_p"),
        (["DEFINE n='a'; UNDEFINE n; {}", "DEFINE n='b'; {}"], "0001_p"),
    ],
)
def test_a_defined_variable_has_no_value_elsewhere(tmp_path: Path, texts: list[str], said: str) -> None:
    for number, text in enumerate(texts, 1):
        used = TWO.replace("STREAM b", f"STREAM ${{n}}{number}")
        (tmp_path / f"000{number}_p.ksql").write_text(text.format(used))
    with pytest.raises(PlanError, match=rf"{said}.ksql: line 1, column \d+: \$\{{n\}} has no value"):
        plan_files.load(tmp_path, {})
    assert len(plan_files.load(tmp_path, {"n": "given"}).statements) == len(texts)


def test_each_file_defines_a_variable_for_itself_and_data_for_the_whole_plan(tmp_path: Path) -> None:
    (tmp_path / "0001_a.yaml").write_text(f"variables: {{n: p}}\nstatements: [{json.dumps(TWO.replace('b', '${n}1', 1))}]")
    (tmp_path / "0002_b.ksql").write_text(f"DEFINE n='a';{TWO.replace(' b ', ' ${n}2 ')}")
    (tmp_path / "0003_c.ksql").write_text(TWO.replace(" b ", " ${n}3 ") + f"DEFINE n='c';{TWO.replace(' b ', ' ${n}4 ')}")
    assert [one.name for one in plan_files.load(tmp_path, {}).statements] == ["P1", "A2", "P3", "C4"]


def test_the_properties_of_a_plan_and_those_of_a_text_file_are_sent_together(tmp_path: Path) -> None:
    (tmp_path / "0001_a.yaml").write_text(f"properties: {{a: b, c: d}}\nstatements: [{json.dumps(ONE)}]")
    (tmp_path / "0002_b.ksql").write_text(f"SET 'c'='e';{TWO}")
    plan = plan_files.load(tmp_path, T)
    assert [one.properties for one in plan.statements] == [{"a": "b", "c": "d"}, {"a": "b", "c": "e"}]
    assert plan.properties == {"a": "b", "c": "d"}


def test_a_new_file_that_holds_only_its_comments_is_named(tmp_path: Path) -> None:
    (tmp_path / "0001_a.ksql").write_text(f"SET 'a'='b'; {TWO}")
    plan_files.next_file(tmp_path, "more").write_text("-- INSERT INTO .. SELECT, each with its semicolon.\n-- SET 'a'='b';\n")
    with pytest.raises(PlanError, match=r"0002_more.ksql: holds no statement: write one into it, or remove it"):
        plan_files.load(tmp_path, {})


@pytest.mark.parametrize(
    ("names", "created"),
    [
        ([], "0001_more.ksql"),
        (["0001_a.ksql", "0002_b.sql"], "0003_more.ksql"),
        (["V000001__a.sql", "V000007__b.sql"], "V000008__more.sql"),
    ],
)
def test_the_next_file_is_named_as_the_others_are(tmp_path: Path, names: list[str], created: str) -> None:
    for name in names:
        (tmp_path / name).write_text(TWO)
    assert plan_files.next_file(tmp_path, "more") == tmp_path / created
    with pytest.raises(PlanError, match="a-b: a file's name is made of letters"):
        plan_files.next_file(tmp_path, "a-b")


def test_an_inserted_statement_changes_no_id(tmp_path: Path) -> None:
    (tmp_path / "p.ksql").write_text(ONE + TWO)
    before = {one.id for one in plan_files.load(tmp_path / "p.ksql", T).statements}
    (tmp_path / "p.ksql").write_text(ONE + "CREATE STREAM c AS SELECT * FROM a EMIT CHANGES;" + TWO)
    assert before < {one.id for one in plan_files.load(tmp_path / "p.ksql", T).statements}


def test_a_type_a_query_and_a_stream_may_share_a_name(tmp_path: Path) -> None:
    insert = "INSERT INTO b WITH (QUERY_ID='a') SELECT * FROM a;"
    (tmp_path / "p.ksql").write_text(f"CREATE TYPE a AS INT;{ONE}{TWO}{insert}")
    plan = plan_files.load(tmp_path / "p.ksql", T)
    assert [one.id for one in plan.statements] == ["p/A", "p/A#2", "p/B", "p/A#3"]


def test_numbers_and_booleans_are_written_as_the_server_reads_them(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"properties: {{a: true, b: 1, c: x}}\nstatements: [{json.dumps(TWO)}]")
    assert plan_files.load(tmp_path / "p.yaml", {}).properties == {"a": "true", "b": "1", "c": "x"}


def test_yaml_text_that_looks_like_a_number_or_date_stays_text(tmp_path: Path) -> None:
    text = "properties: {a: no, b: 010, c: 12:30, d: 2020-01-01, e: 1e3, f: 1_000, g: FALSE, h: -5}\n"
    (tmp_path / "p.yaml").write_text(f"{text}statements: [{json.dumps(TWO)}]")
    found = plan_files.load(tmp_path / "p.yaml", {}).properties
    assert list(found.values()) == ["no", "010", "12:30", "2020-01-01", "1e3", "1_000", "false", "-5"]


def test_line_ends_in_strings_are_kept_and_blank_lines_elsewhere_removed(tmp_path: Path) -> None:
    (tmp_path / "p.ksql").write_text("CREATE STREAM a -- c\n\n  (x INT)\nWITH (KAFKA_TOPIC='t  \n\n u');")
    (one,) = plan_files.load(tmp_path / "p.ksql", {}).statements
    assert one.text == "CREATE STREAM a\n  (x INT)\nWITH (KAFKA_TOPIC='t  \n\n u');"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.ksql", "", r"p.ksql: holds no statement"),
        ("p.ksql", ONE, r"p.ksql: line 1, column 50: \$\{t\} has no value \(known: none\): .*--define t=VALUE"),
        ("p.ksql", "DROP STREAM a;", r"p.ksql, line 1: DROP STREAM a;: .* away: write the line `-- destructive: yes`"),
        ("p.yaml", "statements: ['DROP STREAM a;']", r"statements\[1\]: DROP STREAM a;: it takes something away"),
        ("p.ksql", "TERMINATE ALL;", r"p.ksql, line 1: TERMINATE ALL;: it would end the queries of others"),
        (
            "p.ksql",
            "CREATE VIEW a AS SELECT 1;",
            r"p.ksql, line 1: CREATE VIEW .*: a plan holds CREATE and DROP of STREAM",
        ),
        ("p.ksql", "RUN SCRIPT 'x.sql';", r"p.ksql, line 1: RUN .*: write the statements of that script into"),
        ("p.ksql", f"{TWO}\nDROP STREAM b;\n{TWO}-- destructive: yes", r"p.ksql, line 2: DROP STREAM b;: it takes something"),
        ("p.ksql", "SET 'a'='b';", r"p.ksql: holds no statement"),
        ("p.yaml", "statements: [\"SET 'a'='b';\"]", r"SET 'a'='b';: it is for .ksql files; other ones have `properties`"),
        ("p.ksql", f"{TWO} SET a=b;", r"p.ksql: line 1, column 50: SET is written like SET 'name'='value';"),
        ("p.ksql", f"SET 'a'='b';\n{TWO} SET 'a'='c';\n{TWO}", r"p.ksql, line 3: B is made by .*p.ksql, line 2 already"),
        ("p.ksql", f"SET a=b; {TWO}", r"p.ksql: line 1, column 1: SET is written like SET 'name'='value';"),
        ("p.ksql", f"DEFINE a='${{b}}'; {TWO}", r"p.ksql: line 1, column 1: \$\{b\} has no value \(known: none\)"),
        ("p.ksql", f"SET 'a'='b';\n{TWO}\n CREATE STREAM 'b';", r"p.ksql: line 3, column 16: 'b' stands where a name must be"),
        ("p.ksql", "INSERT INTO a WITH (X=1) SELECT * FROM b;", r"line 1: the WITH of an INSERT is for QUERY_ID='...'"),
        ("p.ksql", f"-- one\n\n{TWO}\n{TWO}", r"p.ksql, line 4: B is made by .*p.ksql, line 3 already"),
        ("p.ksql", TWO + TWO, r"line 1 already: change that statement instead, or write CREATE OR REPLACE$"),
        ("p.ksql", TWO + "CREATE OR REPLACE TABLE b (x INT);", r"line 1: B is a STREAM by .*p.ksql, line 1, and stays one"),
        ("p.ksql", "CREATE TYPE b AS INT; CREATE TYPE b AS INT;", r"line 1: B is made by .*: change that statement instead$"),
        ("p.ksql", f"-- one\n\n{TWO}\n /* two\n*/ CREATE STREAM 'b';", r"p.ksql: line 5, column 18: 'b' stands where a name"),
        ("p.ksql", f"-- one\n\n{TWO};", r"p.ksql: line 3, column 49: an empty statement"),
        ("p.yaml", "a: [", r"p.yaml: while parsing"),
        ("p.yaml", "a: 1", r"p.yaml: must be a mapping with a list of `statements`"),
        ("p.yaml", "statements: []\nfoo: 1", r"p.yaml: foo: not among"),
        ("p.yaml", "statements: [1]", r"p.yaml: statements\[1\]: must be KSQL text"),
        ("p.yaml", f"statements: [{{id: x, ksql: '{TWO} {TWO}'}}]", r"statements\[1\]: 2 statements under the one id x"),
        ("p.yaml", "statements: []", r"p.yaml: holds no statement"),
        ("p.yaml", "statements: [{id: 1, ksql: a}]", r"statements\[1\]: id: 1 must be text"),
        ("p.yaml", "statements: [a]\nstatements: [b]", r"p.yaml: statements is given twice"),
        ("p.yaml", "statements: [a]\n? [b]\n: c", r"p.yaml: unhashable"),
        ("p.yaml", "statements: [a]\nproperties: {p: {q: 1}}", r"p.yaml: properties.p: \{'q': 1\} must be text"),
        ("p.yaml", f"statements: [{{id: 'a>b', ksql: '{TWO}'}}]", r"statements\[1\]: id: a>b must not hold >"),
        ("p.json", "[" * 100_000, r"p.json: maximum recursion depth"),
        ("p.py", "import sys\nsys.exit(3)", r"p.py, line 2: SystemExit: 3"),
        ("p.json", '{"statements": [}', r"p.json: Expecting value: line 1 column 17"),
        ("p.json", '{"statements": ["a"], "statements": ["b"]}', r"p.json: statements is given twice"),
        ("p.py", "\n1/0", r"p.py, line 2: ZeroDivisionError"),
        ("p.py", "def statements():\n    return [1/0]", r"p.py, line 2: ZeroDivisionError"),
        ("p.py", "def statements():\n    return []", r"p.py: holds no statement"),
        ("p.py", f"def statements():\n    return {TWO!r}", r"p.py: must define `def statements\(\) -> list`"),
        ("p.py", f"PROPERTIES = 1\ndef statements():\n    return [{TWO!r}]", r"p.py: PROPERTIES: must be a mapping"),
        ("p.py", "", r"p.py: must define `def statements\(\) -> list`"),
        ("p.txt", TWO, r"p.txt: a plan is a file of"),
    ],
)
def test_an_error_names_the_file_and_the_position(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PlanError, match=said) as raised:
        plan_files.load(tmp_path / name, {})
    assert "\n" not in str(raised.value)


def test_a_file_in_another_encoding_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "p.ksql").write_text(TWO, encoding="utf-16")
    with pytest.raises(PlanError, match=r"p.ksql: is not UTF-8, at byte 0: save it as UTF-8"):
        plan_files.load(tmp_path / "p.ksql", {})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["0001_a.ksql", "V000002__b.sql"], r"0001_a.ksql, V000002__b.sql: name all files of a plan in one of these two ways"),
        (["V1__a.sql"], r"V1__a.sql: must be named like 0001_ticks.sql or V000001__ticks.sql"),
        (["0001_a.ksql", "0003_b.ksql"], r"0003_b.ksql: number 0002 is missing"),
        (["0001_a.ksql", "0001_b.ksql"], r"0001_b.ksql: the number 0001 is that of 0001_a.ksql too"),
        (["a.ksql"], r"a.ksql: must be named like 0001_ticks.ksql"),
        ([], r"no plan in there"),
    ],
)
def test_the_files_of_a_directory_are_numbered_without_gaps(tmp_path: Path, names: list[str], said: str) -> None:
    for number, name in enumerate(names):
        (tmp_path / name).write_text(TWO.replace("b AS", f"b{number} AS"))
    with pytest.raises(PlanError, match=said):
        plan_files.load(tmp_path, {})
