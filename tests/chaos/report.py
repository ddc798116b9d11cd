"""The outcome of a run as a table and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.kinds import Kind
from tests.chaos.run import Outcome


def summary(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data for JSON."""
    options, verdict = outcome.options, outcome.verdict
    return {
        "well": outcome.correct,
        "command": options.command,
        "seed": options.seed,
        "broker": options.broker,
        "delivery": options.delivery,
        "timestamps": options.timestamps,
        "seconds": round(outcome.seconds, 1),
        "faults": {kind.value: outcome.faults[kind] for kind in Kind if outcome.faults[kind]},
        "records": verdict.records,
        "sent_again": verdict.sent_again,
        "windows": verdict.windows,
        "closed_by_idling": verdict.idle,
        "binned": verdict.binned,
        "late": verdict.late,
        "rejected": verdict.rejected,
        "heartbeats": verdict.heartbeats,
        "keys_of_two_partitions": verdict.shared_keys,
        "repeated_keys": dict(verdict.repeated),
        "violations": verdict.violations,
        "directory": None if outcome.directory is None else str(outcome.directory),
    }


def show(outcome: Outcome, console: Console) -> None:
    """Print a table, and each violation."""
    found = summary(outcome)
    title = f"{found['delivery']} delivery on {found['broker']}, {found['timestamps']} timestamps, seed {found['seed']}"
    table = Table(title=title, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    faults: dict[str, int] = found["faults"]
    table.add_row("faults", str(sum(faults.values())))
    for kind, count in faults.items():
        table.add_row(f"  {kind}", str(count))
    table.add_row("records in the topic", f"{found['records']:,}")
    for name in ("binned", "late", "rejected", "heartbeats"):
        table.add_row(f"  {name}", f"{found[name]:,}")
    table.add_row("windows", f"{found['windows']:,}")
    table.add_row("  closed by idling", f"{found['closed_by_idling']:,}")
    table.add_row("  with a key of two partitions", f"{found['keys_of_two_partitions']:,}")
    repeated = " ".join(f"{kind}: {count}" for kind, count in found["repeated_keys"].items())
    table.add_row("keys repeated, equal value", repeated or "0")
    table.add_row("seconds", f"{found['seconds']:.0f}")
    table.add_row("violations", str(len(found["violations"])), style="green" if outcome.correct else "bold red")
    console.print(table)
    for violation in found["violations"]:
        console.print(f"VIOLATION {violation}", style="red", markup=False, highlight=False, soft_wrap=True)
    if not outcome.correct:
        console.print(
            f"repeat with: {found['command']}\nlogs: {found['directory']}", markup=False, highlight=False, soft_wrap=True
        )
