"""The time to plan, and to apply: reading 1,000 statements, hashing them, and comparing them with the server's catalog.

Many new statements are applied on the stand-in ksqlDB of the tests, which answers at once, with the pocket broker: so what is
left is the time that applying takes besides the server's. A real server takes 0.2 to 4 s for a statement.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from rich.console import Console

from app.kafka.cluster import Cluster
from app.pocket import process
from migrations.plan.compare import Step, compare
from migrations.plan.entry import Entry
from migrations.plan.files import load
from migrations.plan.model import KsqlText, build_plan
from migrations.run.runner import apply
from migrations.run.target import Target
from migrations.server.catalog import Catalog
from migrations.server.client import ExecutionResult, KsqlClient, Properties
from tests.support.ksqldb import running_server

STATEMENTS = 1_000
APPLIED = 100
BOUND = 2.0  # seconds
STATEMENT = """
-- number {n}
CREATE TABLE bar_{n}_w WITH (KAFKA_TOPIC='bar_{n}_w', KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON') AS
SELECT broker, symbol, WINDOWSTART AS bucket_start, EARLIEST_BY_OFFSET(bid) AS o, MAX(bid) AS h, MIN(bid) AS l,
  LATEST_BY_OFFSET(bid) AS c, SUM(CAST(qty AS DECIMAL(28,8))) AS volume, COUNT(*) AS n
FROM ticks WINDOW TUMBLING (SIZE {n} SECONDS, RETENTION 7 DAYS, GRACE PERIOD 5 SECONDS)
GROUP BY broker, symbol EMIT FINAL;
"""


class _Timed(KsqlClient):
    """A client that adds up how long the server took for statements."""

    seconds = 0.0

    async def execute(self, text: str, properties: Properties, after: int | None = None) -> ExecutionResult:
        """As that of `KsqlClient`."""
        began = time.monotonic()
        done = await super().execute(text, properties, after)
        self.seconds += time.monotonic() - began
        return done


async def _apply(url: str, broker: str) -> tuple[float, float]:
    """Seconds that it takes to apply new statements: from the first to the last one, and those of the server alone."""
    text = "".join(f"CREATE TYPE t{n} AS STRUCT<a INT, b ARRAY<DECIMAL(18, 8)>>;\n" for n in range(APPLIED))
    plan = build_plan("p", [KsqlText(text, "p", "p")], {}, {})
    began = 0.0

    def started(step: Step, done: Entry | None) -> None:  # noqa: ARG001  # the protocol of Progress
        nonlocal began
        began = began or time.monotonic()

    async with _Timed(url) as client:
        where = Target(client, Cluster(broker), f"{uuid4().hex[:8]}-history", "an-app", "me")
        done = await apply(where, plan, on_progress=started)
        if len(done.applied) != APPLIED:
            raise RuntimeError(f"{len(done.applied)} of {APPLIED} statements were applied")
        return time.monotonic() - began, client.seconds


def _planned(path: Path) -> float:
    """CPU seconds to plan the statements of a file."""
    began = time.process_time()
    steps = compare(load(path, {}), {}, Catalog())
    if len(steps) != STATEMENTS:
        raise RuntimeError(f"{len(steps)} of {STATEMENTS} statements were planned")
    return time.process_time() - began


def run(repeat: int) -> dict[str, Any]:
    """The medians of `repeat` runs: CPU seconds to plan, milliseconds to apply each statement."""
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        path = Path(folder) / "plan.ksql"
        path.write_text("".join(STATEMENT.format(n=n) for n in range(1, STATEMENTS + 1)))
        seconds = round(median(_planned(path) for _ in range(repeat)), 3)
        found = process.ensure(Path(folder) / "pocket", "127.0.0.1", 0, 5.0)
        applied = []
        for _ in range(repeat):
            applied.append(asyncio.run(_apply(server.url, f"{found.host}:{found.port}")))
            server.set_state(types={})
    own = round(median(taken - of_server for taken, of_server in applied) / APPLIED * 1_000, 1)
    return {"statements": STATEMENTS, "seconds": seconds, "at_most": BOUND, "own_milliseconds": own, "kept": seconds < BOUND}


def show(found: dict[str, Any], console: Console) -> None:
    """Print the result as text."""
    verdict = "kept" if found["kept"] else "[red]missed[/red]"
    console.print(
        f"planning {found['statements']:,} statements: {found['seconds']} s (expected under {found['at_most']:g}: {verdict})"
    )
    console.print(f"applying takes {found['own_milliseconds']} ms a statement besides the server's own time")
