"""The shipped plans: equal to their golden files, and to statements that a real server accepted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app.ksqldb.boot import load_plan
from app.settings import Settings
from migrations.ksql.expressions import Column, Key
from migrations.ksql.functions import count, latest, maximum
from migrations.ksql.parse.normal import normal_form, split
from migrations.ksql.queries import select
from migrations.ksql.sources import Stream, Table, delimited
from migrations.ksql.types import BIGINT, DECIMAL, DOUBLE, STRING
from migrations.plan import files as plan_files
from migrations.plan.entry import Entry
from migrations.plan.model import Statement
from migrations.shipped import bar1m, history
from migrations.shipped.decimals import decimals
from tests.ksqldb_server.server import execute_all
from tests.ksqldb_server.state import State
from tests.support.worker import ROOT

DATA = Path(os.environ.get("BARWHEEL_TEST_DATA") or Path(__file__).parents[4] / "shared") / "ksqldb"
GOLDEN = Path(__file__).parent / "golden"


BEYOND = {"late_policy": "correct", "frames": "1h,1M"}


@pytest.mark.parametrize(
    ("name", "path", "given"),
    [
        ("running", None, {}),
        ("running_beyond", None, BEYOND),
        ("bar1m", Path("bar1m"), {}),
        ("bar1m", Path("bar1m"), BEYOND),
        ("history", Path("history"), {}),
    ],
)
def test_the_shipped_plans_equal_their_golden_files(name: str, path: Path | None, given: dict[str, str]) -> None:
    """After an intended change: python -m app migrate print [--plan ..] > tests/unit/migrations/golden/NAME.ksql."""
    plan = load_plan(Settings(_env_file=None, **given), path)  # type: ignore[arg-type, call-arg]  # pydantic-settings' own
    text = "\n\n".join(statement.text for statement in plan.statements) + "\n"
    assert text == (GOLDEN / f"{name}.ksql").read_text(encoding="utf-8")


def test_only_what_the_settings_turn_on_is_in_the_plan() -> None:
    def names(**given: str) -> set[str]:
        plan = load_plan(Settings(_env_file=None, **given), None)  # type: ignore[arg-type, call-arg]  # see above
        return {statement.name for statement in plan.statements}

    usual, hour = names(), {"BAR_1H_EVENTS", "BAR_1H_ALL"}
    kinds = ("CORRECTIONS", "VERSIONS", "FINALS_WRITER", "REVISIONS_WRITER", "CURRENT")
    assert names(frames="1h") - usual == hour
    assert names(late_policy="correct") - usual == {f"BAR_1M_{kind}" for kind in kinds}
    both = names(late_policy="correct", frames="1h,1M") - usual
    assert hour | {f"BAR_1{unit}_{kind}" for kind in kinds for unit in ("M", "H", "MO")} < both
    assert len(both) == 5 + 2 * 7, "a month and a minute have names of their own"


@pytest.mark.parametrize(("path", "given"), [(None, {}), (None, BEYOND), (Path("bar1m"), {})])
def test_ids_and_hashes_do_not_depend_on_the_partitions_and_names_follow_the_instance(
    path: Path | None, given: dict[str, str]
) -> None:
    def loaded(**values: object) -> list[Statement]:
        return list(load_plan(Settings(_env_file=None, **given, **values), path).statements)  # type: ignore[arg-type, call-arg]  # see above

    usual, more, other = loaded(), loaded(topic_partitions=16), loaded(topics_prefix="fx-1.", window_size="5s")
    assert [(one.id, one.name, one.hash) for one in more] == [(one.id, one.name, one.hash) for one in usual]
    assert any("PARTITIONS=16" in one.text for one in more)
    assert [one.id for one in other] == [one.id for one in usual]
    assert not {one.hash for one in other} & {one.hash for one in usual}
    for one, before in zip(other, usual, strict=True):
        assert one.name == f"FX_1_{before.name.replace('_1M_', '_5S_').replace('_5M', '_25S')}"
        assert one.info.topic.startswith("fx-1.") or one.info.topic in {"ticks", ""}
    execute_all(State(topics=dict.fromkeys(["ticks", *topics_of("fx-1.", "5s")], 8)), "\n".join(one.text for one in other))


def topics_of(prefix: str = "", size: str = "1m") -> list[str]:
    """The topics of the application, with `BEYOND`."""
    return [f"{prefix}bar_{frame}_{kind}" for frame in (size, "1h", "1M") for kind in ("final", "corrections")]


@pytest.mark.parametrize(("path", "given"), [(None, {}), (None, BEYOND), (Path("bar1m"), {}), (Path("history"), {})])
def test_the_strict_stand_in_accepts_every_statement_of_the_shipped_plans(path: Path | None, given: dict[str, str]) -> None:
    plan = load_plan(Settings(_env_file=None, **given), path)  # type: ignore[arg-type, call-arg]  # see above
    state = State(topics=dict.fromkeys(["ticks", "_meta_migrations", *topics_of()], 8))
    assert len(execute_all(state, "\n".join(statement.text for statement in plan.statements))) == len(plan.statements)


def test_the_table_of_the_history_has_every_field_of_an_entry() -> None:
    names = {field.name for field in msgspec.structs.fields(Entry)}
    columns = {column.lower() for column in history.Migrations.columns()} - {"entry"}
    assert columns <= names
    assert names - columns == {"server_text", "cluster_id", "replaced_at"}
    plan = load_plan(Settings(_env_file=None, topics_prefix="fx."), Path("history"))  # type: ignore[call-arg]  # see above
    assert (plan.statements[0].name, plan.statements[0].info.topic) == ("FX_MIGRATIONS", "fx._meta_migrations")


@pytest.mark.parametrize("name", ["avro", "protobuf"])
def test_bars_of_a_format_with_a_schema_are_read_with_its_types_and_need_a_registry(name: str) -> None:
    given = {"bars_format": name, "bars_scale": 5, "schema_registry_url": "http://registry:1", "topics_prefix": "", **BEYOND}
    plan = load_plan(Settings.load(**given), None)
    read = {one.name: one.text for one in plan.statements if f"VALUE_FORMAT='{name.upper()}'" in one.text}
    frames = {f"BAR_1{unit}_{kind}" for unit in ("M", "H", "MO") for kind in ("EVENTS", "CORRECTIONS")}
    assert read.keys() == {"BAR_1M_FINAL", *frames}, "what ksqlDB makes of them is JSON"
    for text in read.values():
        assert "bucket_start BIGINT" in text, "it is in the key"
        assert "bucket_end TIMESTAMP, open DECIMAL(38,5)," in " ".join(text.split())
        assert {"volume DECIMAL(38,5)", "vwap DECIMAL(38,5)"} < set(" ".join(text.split()).split(", "))
    text = "\n".join(one.text for one in plan.statements)
    topics = dict.fromkeys(["ticks", *topics_of()], 8)
    assert len(execute_all(State(topics=topics, registry=True), text)) == len(plan.statements)
    with pytest.raises(Exception, match=r"without configuring 'ksql.schema.registry.url'"):
        execute_all(State(topics=topics), text)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no accepted statements in {DATA}")
def test_the_plan_bar1m_equals_the_statements_that_a_server_accepted() -> None:
    """Except for names, the timestamp column (ts), SELECT * (spelled out), and heartbeats (not counted)."""
    accepted_texts = [normal_form(statement) for statement in split((DATA / "final_set.ksql").read_text(encoding="utf-8"))]
    variables = {"prefix": "", "topics": "", "ticks": "ticks.v1", "partitions": "6"}
    plan = plan_files.load(Path("bar1m"), variables)
    columns = ", ".join(bar1m.Final.columns())
    for ours, theirs in zip(plan.statements, accepted_texts, strict=True):
        renamed = theirs.replace("_V1", "").replace("TS_UTC", "TS").replace("ts_utc", "ts")
        for topic in ("bar_1m_w", "bar_1m_events", "bar_1m_final", "bar_1m_final_q"):
            renamed = renamed.replace(f"'{topic}.v1'", f"'{topic}'")
        renamed = renamed.replace("SELECT *", f"SELECT {normal_form(columns)}").replace(
            " PARTITIONS = 6 ,", "", "TICKS (" in renamed
        )
        guarded = "CASE WHEN ( BID IS NOT NULL AND QTY IS NOT NULL ) THEN {} ELSE CAST ( NULL AS DECIMAL ( 37 , 16 ) ) END"
        product = "CAST ( BID * QTY AS DECIMAL ( 37 , 16 ) )"
        counted = normal_form(ours.text).replace(guarded.format(product), product)
        counted = counted.replace("COUNT ( BID )", "COUNT ( * )").replace(" WHERE N > 0", "")
        assert counted == renamed


def accepted(recording: str, name: str) -> str:
    """The recorded statement that created this object on a real server."""
    for line in (DATA / "transcripts" / recording).read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        text = (exchange.get("request") or {}).get("body", {}).get("ksql", "")
        if f" {name} " in text and exchange["response"]["body"][0].get("commandStatus", {}).get("status") == "SUCCESS":
            return str(text)
    raise AssertionError(f"{recording}: {name} was not created")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no accepted statements in {DATA}")
def test_statements_over_the_finals_topic_equal_those_that_a_server_accepted() -> None:
    class Mispartitioned(Stream, name="mp_events", topic="mp.bars", key=delimited("|"), value="JSON"):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        bucket_end = Column(BIGINT)
        o = Column(DOUBLE)

    grouped = (
        select(*Mispartitioned.keys(), *(latest(one).as_(one.name) for one in (Mispartitioned.o, Mispartitioned.bucket_end)))
        .from_(Mispartitioned)
        .group_by(Mispartitioned.broker, Mispartitioned.symbol, Mispartitioned.bucket_start)
    )

    class Grouped(Table, name="mp_group", topic="mp.group", partitions=6, key=delimited("|"), value="JSON", query=grouped):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        o = Column(DOUBLE)
        bucket_end = Column(BIGINT)

    anew = Mispartitioned.broker + ""
    expressed = (
        select(anew.as_("broker"), *list(Mispartitioned.columns().values())[1:])
        .from_(Mispartitioned)
        .partition_by(anew, Mispartitioned.symbol, Mispartitioned.bucket_start)
    )

    class Expressed(Stream, name="mp_expr", topic="mp.expr", partitions=6, key=delimited("|"), value="JSON", query=expressed):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        bucket_end = Column(BIGINT)
        o = Column(DOUBLE)

    class Bars(Stream, name="bars_1m_final_s", topic="bars.1m.final", key=delimited("|"), value="JSON"):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Key(BIGINT)
        bucket_end = Column(BIGINT)
        o = Column(DECIMAL(18, 8))
        h = Column(DECIMAL(18, 8))
        l = Column(DECIMAL(18, 8))  # noqa: E741  # low
        c = Column(DECIMAL(18, 8))
        volume = Column(DECIMAL(28, 8))
        vwap = Column(DECIMAL(18, 8))
        n = Column(BIGINT)

    newest = (
        select(
            *(Bars.broker, Bars.symbol),
            *(latest(one).as_(one.name) for one in (Bars.bucket_start, Bars.o, Bars.h, Bars.l, Bars.c)),
            maximum(Bars.bucket_start).as_("max_bucket"),
            count().as_("bars"),
        )
        .from_(Bars)
        .group_by(Bars.broker, Bars.symbol)
    )

    class Newest(
        Table, name="bars_1m_latest", topic="bars.1m.latest", partitions=6, key=delimited("|"), value="JSON", query=newest
    ):
        broker = Key(STRING)
        symbol = Key(STRING)
        bucket_start = Column(BIGINT)
        o = Column(DECIMAL(18, 8))
        h = Column(DECIMAL(18, 8))
        l = Column(DECIMAL(18, 8))  # noqa: E741  # low
        c = Column(DECIMAL(18, 8))
        max_bucket = Column(BIGINT)
        bars = Column(BIGINT)

    taken = {
        "29_mispartitioned_source.jsonl": (Mispartitioned, Grouped, Expressed),
        "05_python_writes_bars.jsonl": (Bars, Newest),
    }
    for recording, sources in taken.items():
        for made in sources:
            assert normal_form(str(made)) == normal_form(accepted(recording, made.ksql_name))


def test_the_decimals_of_the_shipped_plans_have_room_for_sums_and_products() -> None:
    assert decimals(18, 8) == {"price": "DECIMAL(18,8)", "sum": "DECIMAL(28,8)", "notional": "DECIMAL(37,16)"}
    assert decimals(28, 18) == {"price": "DECIMAL(28,18)", "sum": "DECIMAL(38,18)", "notional": "DECIMAL(38,18)"}
    assert decimals(9, 0) == {"price": "DECIMAL(9,0)", "sum": "DECIMAL(19,0)", "notional": "DECIMAL(19,0)"}


@pytest.mark.slow  # runs mypy
def test_a_wrong_column_is_a_type_error(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from migrations.ksql.functions import maximum\nfrom migrations.shipped.finals import Ticks\n\n"
        "maximum(Ticks.bid)\nmaximum(Ticks.bit)\n"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(tmp_path),
        str(wrong),
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    errors = [line for line in found.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert 'wrong.py:5: error: "type[Ticks]" has no attribute "bit"' in errors[0]
