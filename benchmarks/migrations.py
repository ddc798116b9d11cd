"""The time to plan: reading 1,000 statements, hashing them, and comparing them with the server's catalog."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from migrations.plan.compare import compare
from migrations.plan.files import load
from migrations.server.catalog import Catalog

STATEMENTS = 1_000
BOUND = 2.0  # seconds
STATEMENT = """
-- number {n}
CREATE TABLE bar_{n}_w WITH (KAFKA_TOPIC='bar_{n}_w', KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON') AS
SELECT broker, symbol, WINDOWSTART AS bucket_start, EARLIEST_BY_OFFSET(bid) AS o, MAX(bid) AS h, MIN(bid) AS l,
  LATEST_BY_OFFSET(bid) AS c, SUM(CAST(qty AS DECIMAL(28,8))) AS volume, COUNT(*) AS n
FROM ticks WINDOW TUMBLING (SIZE {n} SECONDS, RETENTION 7 DAYS, GRACE PERIOD 5 SECONDS)
GROUP BY broker, symbol EMIT FINAL;
"""


def run(repeat: int) -> dict[str, Any]:
    """The median of `repeat` runs, in CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.ksql"
        path.write_text("".join(STATEMENT.format(n=n) for n in range(1, STATEMENTS + 1)))
        taken = []
        for _ in range(repeat):
            began = time.process_time()
            steps = compare(load(path, {}), {}, Catalog())
            taken.append(time.process_time() - began)
            if len(steps) != STATEMENTS:
                raise RuntimeError(f"{len(steps)} of {STATEMENTS} statements were planned")
    seconds = round(median(taken), 3)
    return {"statements": STATEMENTS, "seconds": seconds, "at_most": BOUND, "kept": seconds < BOUND}


def show(found: dict[str, Any], console: Console) -> None:
    """Print the result as text."""
    verdict = "kept" if found["kept"] else "[red]missed[/red]"
    console.print(
        f"planning {found['statements']:,} statements: {found['seconds']} s (expected under {found['at_most']:g}: {verdict})"
    )
