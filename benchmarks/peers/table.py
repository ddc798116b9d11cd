"""The table of the peers: medians of one run, times barwheel, and the bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured
from benchmarks.peers.run import Found, Run
from benchmarks.peers.subjects import PEERS

TIMES_BETTER_THAN_FLINK = 4.0  # CPU a tick of Flink, exactly once, divided by barwheel's
RATES = {"cpu_us_per_tick": ".2f", "times_barwheel": ".2f", "ticks_per_second": ",", "peak_mb": ","}  # and how each is shown
COUNTS = ("right", "wrong", "missing", "doubled")


def summary(found: Found, symbols: Sequence[int], peers: Sequence[str]) -> dict[str, Any]:
    """The results as plain data, for JSON."""
    results = [_market([run for run in found.runs if run.symbols == number], number, peers) for number in symbols]
    bounds = [bound for one in results for bound in one["bounds"]]
    return {"results": results, "not_run": found.not_run, "kept": all(bound["kept"] for bound in bounds)}


def _market(runs: Sequence[Run], symbols: int, peers: Sequence[str]) -> dict[str, Any]:
    rows = {}
    for peer in peers:
        mine = [run for run in runs if run.peer == peer]
        if mine:
            rows[peer] = {
                "ticks": mine[0].ticks,
                **_rates([run.measured for run in mine if run.measured is not None]),
                "peak_mb": round(max(run.peak_mb for run in mine)),
                "due": mine[0].verdict.due,
                **{count: sum(getattr(run.verdict, count) for run in mine) for count in COUNTS},
                "runs": len(mine),
            }
    ours = rows.get("barwheel", {}).get("cpu_us_per_tick")
    for row in rows.values():
        if ours and "cpu_us_per_tick" in row:
            row["times_barwheel"] = round(row["cpu_us_per_tick"] / ours, 2)
    return {"symbols": symbols, "subjects": rows, "bounds": _bounds(rows, peers)}


def _rates(measured: Sequence[Measured]) -> dict[str, float]:
    if not measured:
        return {}
    return {
        "cpu_us_per_tick": round(median(one.cpu_us for one in measured), 3),
        "ticks_per_second": round(median(one.ticks_per_second for one in measured)),
    }


def _bounds(rows: Mapping[str, Mapping[str, Any]], peers: Sequence[str]) -> list[dict[str, Any]]:
    """A subject that was asked for and did not run keeps no bound."""
    bounds: list[dict[str, Any]] = []
    ours = rows.get("barwheel")
    if "barwheel" in peers:
        flawless = ours is not None and ours["right"] == ours["due"] * ours["runs"] and not ours["wrong"] + ours["doubled"]
        bounds.append({"what": "barwheel: each bar right, once", "kept": flawless})
    if {"barwheel", "flink"} <= set(peers):
        ratio = rows.get("flink", {}).get("times_barwheel")
        what = f"Flink / barwheel: {'not measured' if ratio is None else f'{ratio:.2f} times the CPU'}"
        kept = ratio is not None and ratio >= TIMES_BETTER_THAN_FLINK
        bounds.append({"what": what, "ratio": ratio, "at_least": TIMES_BETTER_THAN_FLINK, "kept": kept})
    return bounds


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    for one in report["results"]:
        title = f"{one['symbols']:,} symbols: us of CPU a tick, and times barwheel's"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
        table.add_column("")
        for heading in ("CPU us", "times", "ticks/s", "MB", *COUNTS):
            table.add_column(heading, justify="right", no_wrap=True)  # names are wrapped where the terminal is narrow
        absent = {peer: reason for peer, reason in report["not_run"].items() if peer not in one["subjects"]}
        most = max((row["ticks"] for row in one["subjects"].values()), default=0)
        for peer, row in one["subjects"].items():
            rates = [format(row[name], form) if name in row else "-" for name, form in RATES.items()]
            table.add_row(PEERS[peer].label, *rates, *(f"{row[count]:,}" for count in COUNTS))
        for peer in absent:
            table.add_row(PEERS[peer].label, *["-"] * (len(RATES) + len(COUNTS)))
        console.print(table)
        for peer, row in one["subjects"].items():
            if row["ticks"] < most:
                console.print(f"  {PEERS[peer].label} read the first {row['ticks']:,} ticks only", highlight=False)
        for peer, reason in absent.items():
            console.print(f"  {PEERS[peer].label}: not run: {reason}", highlight=False)
        for bound in one["bounds"]:
            least = f" (expected at least {bound['at_least']:g})" if "at_least" in bound else ""
            console.print(f"  {bound['what']}{least}: {'kept' if bound['kept'] else '[red]missed[/red]'}", highlight=False)
        console.print()
