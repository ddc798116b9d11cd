"""`app migrate import-ksql-migrations`: what ksqlDB's own tool applied is recorded, and nothing is sent again."""

from __future__ import annotations

from dataclasses import replace
from hashlib import md5
from pathlib import Path

import pytest

from migrations.errors import MigrationError, RefusedError
from migrations.plan import files as plan_files
from migrations.plan.compare import Action
from migrations.plan.model import Plan
from migrations.run import history, runner
from migrations.run.ksql_migrations import import_state
from tests.integration.migrations.plans import Where, query_ids
from tests.support.ksqldb import KsqlServer
from tests.support.worker import Worker

FILES = {
    "V000001__rates.sql": "-- first\nCREATE STREAM rates (code STRING KEY, rate DOUBLE)\n"
    "  WITH (KAFKA_TOPIC='rates', PARTITIONS=1, VALUE_FORMAT='JSON');\nINSERT INTO rates (code, rate) VALUES ('EUR', 1.1);\n",
    "V000002__high.sql": "CREATE STREAM high WITH (KAFKA_TOPIC='high') AS SELECT * FROM rates WHERE rate > ${limit};\n",
    "V000004__both.sql": "CREATE STREAM both WITH (KAFKA_TOPIC='both') AS SELECT * FROM high EMIT CHANGES;\n",
    "V000005__more.sql": "INSERT INTO rates (code, rate) VALUES ('GBP', 1.2);\n",
}
# as that tool's `initialize` makes them
OWN = """
CREATE STREAM MIGRATION_EVENTS (version_key STRING KEY, version STRING, name STRING, state STRING, checksum STRING,
  started_on STRING, completed_on STRING, previous STRING, error_reason STRING)
  WITH (KAFKA_TOPIC='default_ksql_MIGRATION_EVENTS', VALUE_FORMAT='JSON', PARTITIONS=1, REPLICAS=1);
CREATE TABLE MIGRATION_SCHEMA_VERSIONS WITH (KAFKA_TOPIC='default_ksql_MIGRATION_SCHEMA_VERSIONS') AS
  SELECT version_key, latest_by_offset(version) AS version, latest_by_offset(name) AS name, latest_by_offset(state) AS state,
  latest_by_offset(checksum) AS checksum, latest_by_offset(started_on) AS started_on,
  latest_by_offset(completed_on) AS completed_on, latest_by_offset(previous) AS previous,
  latest_by_offset(error_reason) AS error_reason FROM MIGRATION_EVENTS GROUP BY version_key;
"""


def row(name: str, state: str, previous: str, reason: str = "N/A") -> dict[str, str]:
    """The row of a file in that tool's table."""
    number = str(int(name[1:7]))
    checksum = md5(FILES[name].encode(), usedforsecurity=False).hexdigest()
    names = ("VERSION_KEY", "VERSION", "NAME", "STATE", "CHECKSUM", "STARTED_ON", "COMPLETED_ON", "PREVIOUS", "ERROR_REASON")
    values = (number, number, name[9:-4], state, checksum, "1700000000000", "1700000001500", previous, reason)
    return dict(zip(names, values, strict=True))


def applied(server: KsqlServer, directory: Path, limit: str = "1.5", state: str = "ERROR", up_to: int = 2) -> list[str]:
    """Let that tool apply the first files, two of them, and end within the next. Returns what was executed."""
    directory.mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    server.ksql(OWN)
    for name in list(FILES)[:up_to]:
        server.ksql(FILES[name].replace("${limit}", limit))
    record(server, state, up_to)
    return server.executed()


def record(server: KsqlServer, state: str = "ERROR", up_to: int = 2) -> None:
    """Let the table of that tool say that it has applied the first files, and ended within the next."""
    names = list(FILES)
    rows = [row(name, "MIGRATED", str(number) if number else "<none>") for number, name in enumerate(names[:up_to])]
    rows.append(row(names[up_to], state, str(up_to), "no such topic"))
    server.set_state(rows={"MIGRATION_SCHEMA_VERSIONS": [*rows, rows[-1] | {"VERSION_KEY": "CURRENT"}]})


PART = ": a part of it may have been executed; `migrate adopt` takes over what the server has"


def test_what_ksql_migrations_applied_is_recorded_and_the_rest_is_pending(worker: Worker, server: KsqlServer) -> None:
    executed = applied(server, worker.directory / "plan")
    given = ("--plan", "plan", "--define", "limit=1.5")
    imported = worker.run("migrate", "import-ksql-migrations", *given)
    assert imported.returncode == 3, imported.stderr
    at = "applied by ksql-migrations at 2023-11-14"
    assert [line[: len(at) + line.index(at)] for line in imported.stdout.splitlines()[:3]] == [
        f"V000001__rates/RATES: {at}",
        f"V000001__rates/VALUES_INTO_RATES: {at}",
        f"V000002__high/HIGH: {at}",
    ]
    assert imported.stdout.splitlines()[3:] == [
        f"V000004__both: ERROR there (no such topic){PART}",
        "V000005__more: not applied there",
    ]
    assert server.executed() == executed
    done = worker.run("migrate", "apply", *given)
    assert done.returncode == 0, done.stderr
    assert [text.split()[2] for text in server.executed()[len(executed) :]] == ["both", "rates"]
    assert worker.run("migrate", "status", *given).returncode == 0


async def test_what_does_not_match_is_refused_before_anything_is_recorded(
    where: Where, server: KsqlServer, tmp_path: Path
) -> None:
    directory = tmp_path / "plan"
    applied(server, directory)
    async with where() as target:
        other = plan_files.load(directory, {"limit": "9"})  # the file is the same, and its variable is not
        with pytest.raises(RefusedError, match="V000002__high/HIGH: the server's HIGH is another than the plan's"):
            await import_state(target, other, directory, "MIGRATION_SCHEMA_VERSIONS")
        with pytest.raises(MigrationError, match="has no table VERSIONS: if that tool's table has another name"):
            await import_state(target, other, directory, "VERSIONS")
        (directory / "V000001__rates.sql").write_text(FILES["V000001__rates.sql"] + "-- changed\n")
        plan = plan_files.load(directory, {"limit": "1.5"})
        with pytest.raises(RefusedError, match=r"V000001__rates.sql: it was changed after it was applied \(MD5 \w{32}, now"):
            await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")
        (directory / "V000001__rates.sql").unlink()
        with pytest.raises(RefusedError, match="version 1 was applied and has no file in"):
            await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")
        assert await history.read(target.cluster, target.topic, "an-app") == {}


async def test_what_was_dropped_since_shows_as_missing(where: Where, server: KsqlServer, tmp_path: Path) -> None:
    directory = tmp_path / "plan"
    applied(server, directory)
    server.ksql("DROP STREAM high;")
    plan = plan_files.load(directory, {"limit": "1.5"})
    async with where() as target:
        assert len((await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries) == 3
        found = {step.name: step.action for step in await runner.survey(target, plan)}
        assert found["HIGH"] is Action.missing
        assert (await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries == []


def replace_by_the_second_file(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the second file replace what the first one creates; the CREATE statement that it has so."""
    more = FILES["V000001__rates.sql"].partition("INSERT")[0].replace("rate DOUBLE", "rate DOUBLE, bank STRING")
    monkeypatch.setitem(FILES, "V000002__high.sql", more.replace("CREATE", "CREATE OR REPLACE"))
    return more


async def test_what_a_later_file_replaced_is_recorded_and_not_compared(
    where: Where, server: KsqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_by_the_second_file(monkeypatch)
    directory = tmp_path / "plan"
    executed = applied(server, directory)
    plan = plan_files.load(directory, {})
    async with where() as target:
        assert len((await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries) == 3
        steps = [step.action for step in await runner.survey(target, plan)]
        assert steps == [Action.done] * 3 + [Action.apply] * 2
    assert server.executed() == executed


async def test_what_a_later_file_replaced_since_the_last_import_is_compared_and_recorded(
    where: Where, server: KsqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = replace_by_the_second_file(monkeypatch)
    directory = tmp_path / "plan"
    applied(server, directory, up_to=1)
    plan = plan_files.load(directory, {})
    async with where() as target:
        assert len((await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries) == 2
        server.ksql(more.replace("bank", "other").replace("CREATE", "CREATE OR REPLACE"))
        record(server, up_to=2)
        with pytest.raises(RefusedError, match="V000002__high/RATES: the server's RATES is another than the plan's"):
            await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")
        server.ksql("DROP STREAM rates;" + more)
        assert len((await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries) == 1
        steps = [step.action for step in await runner.survey(target, plan)]
        assert steps == [Action.done] * 3 + [Action.apply] * 2


@pytest.mark.parametrize(
    ("applied_text", "text"),
    [
        ("DROP STREAM high;\n", "-- destructive: yes\nDROP STREAM high;\n"),
        ("DROP STREAM high;\n", "--Destructive: yes\r\nDROP STREAM high;\n"),
        ("DROP STREAM high;\n", "-- destructive: yes\n-- destructive: yes\nDROP STREAM high;\n"),
        ("DROP STREAM high;\n", "DROP STREAM high;\n-- destructive: yes"),
        ("DROP STREAM high;", "DROP STREAM high;\n-- destructive: yes\n"),
        ("DROP STREAM high;", "DROP STREAM high;\r\n-- destructive: yes"),
    ],
)
def test_a_file_with_a_drop_is_recorded_with_the_line_that_makes_it_a_plan(
    worker: Worker, server: KsqlServer, monkeypatch: pytest.MonkeyPatch, applied_text: str, text: str
) -> None:
    name = "V000004__both.sql"
    monkeypatch.setitem(FILES, name, applied_text)
    executed = applied(server, worker.directory / "plan", up_to=3)
    given = ("--plan", "plan", "--define", "limit=1.5")
    refused = worker.run("migrate", "import-ksql-migrations", *given)
    assert (refused.returncode, "write the line `-- destructive: yes` into the file" in refused.stderr) == (2, True)
    (worker.directory / "plan" / name).write_bytes(text.encode())
    imported = worker.run("migrate", "import-ksql-migrations", *given)
    assert imported.returncode == 3, imported.stderr  # the last file is pending
    assert server.executed() == executed
    (worker.directory / "plan" / name).write_text(f"{text}\n-- more\n")
    changed = worker.run("migrate", "import-ksql-migrations", *given)
    assert (changed.returncode, "only the line `-- destructive: yes` may be added" in changed.stderr) == (4, True)


async def test_what_was_made_again_after_a_drop_is_compared_and_recorded(
    where: Where, server: KsqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = FILES["V000002__high.sql"].replace("> ${limit}", "> 3")
    monkeypatch.setitem(FILES, "V000004__both.sql", "-- destructive: yes\nDROP STREAM high;\n")
    monkeypatch.setitem(FILES, "V000005__more.sql", again)
    monkeypatch.setitem(FILES, "V000006__last.sql", "INSERT INTO rates (code, rate) VALUES ('GBP', 1.2);\n")
    directory = tmp_path / "plan"
    executed = applied(server, directory, up_to=4)
    plan = plan_files.load(directory, {"limit": "1.5"})
    other = [replace(one, text=one.text.replace("> 3", "> 4")) for one in plan.statements]
    async with where() as target:
        with pytest.raises(RefusedError, match="V000005__more/HIGH: the server's HIGH is another than the plan's"):
            await import_state(target, Plan(plan.name, tuple(other)), directory, "MIGRATION_SCHEMA_VERSIONS")
        assert len((await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries) == 5
        steps = [step.action for step in await runner.survey(target, plan)]
        assert steps == [Action.done] * 5 + [Action.apply]
        entries = await history.read(target.cluster, target.topic, "an-app")
        assert [entry.query_id != "" for entry in entries.values() if entry.name == "HIGH"] == [False, True]
    assert server.executed() == executed


async def test_a_query_that_a_later_file_ended_by_the_id_that_the_server_made_is_no_drift(
    where: Where, server: KsqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = "CREATE STREAM low (code STRING KEY, rate DOUBLE) WITH (KAFKA_TOPIC='low', PARTITIONS=1, VALUE_FORMAT='JSON');\n"
    copies += "".join(f"INSERT INTO low SELECT * FROM rates WHERE rate < {n} EMIT CHANGES;\n" for n in (1, 2, 3))
    monkeypatch.setitem(FILES, "V000002__high.sql", copies)
    directory = tmp_path / "plan"
    applied(server, directory, up_to=2)
    queries = [name for name in query_ids(server) if name.startswith("INSERTQUERY_")]
    ends = f"-- destructive: yes\nTERMINATE {queries[0]};\nTERMINATE {queries[2]};\n"
    monkeypatch.setitem(FILES, "V000004__both.sql", ends)
    (directory / "V000004__both.sql").write_text(ends)
    server.ksql(ends)
    record(server, up_to=3)
    executed = server.executed()
    plan = plan_files.load(directory, {})
    async with where() as target:
        assert len((await import_state(target, plan, directory, "MIGRATION_SCHEMA_VERSIONS")).entries) == 8
        steps = {step.id: step for step in await runner.survey(target, plan)}
        assert [step.action for step in steps.values()] == [Action.done] * 8 + [Action.apply]
        inserts = [step for name, step in steps.items() if "_INTO_LOW" in name]
        assert [step.why.partition(",")[0] for step in inserts if step.replaced] == ["dropped since"] * 2
        assert [step.name for step in inserts if not step.replaced] == [queries[1]]
    assert server.executed() == executed
