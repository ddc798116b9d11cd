"""The throughput table: medians, ratios within one run, and the bounds of these ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.synthetic_ticks import Market
from benchmarks.throughput import LABELS, SUBJECTS, Run

# Bounds of the ratios of CPU a tick, by the number of symbols. The first is a lower bound, the others are upper bounds.
TIMES_BETTER_THAN_FAUST = {1_000: 80.0, 100_000: 30.0}
TIMES_OF_RECORDS = {1_000: 1.0}
TIMES_OF_BATCHES = {1_000: 2.5, 100_000: 2.5}
NO_BOUNDS: dict[int, float] = {}


def summary(runs: Sequence[Run], markets: Mapping[int, Market]) -> dict[str, Any]:
    """The results as plain data, for JSON."""
    results: list[dict[str, Any]] = []
    for symbols, market in markets.items():
        rows = {}
        for subject in SUBJECTS:
            mine = [r for r in runs if r.symbols == symbols and r.subject == subject]
            if mine:
                rows[subject] = {
                    "ticks_per_second": round(median(r.measured.ticks_per_second for r in mine)),
                    "cpu_us_per_tick": round(median(r.measured.cpu_us for r in mine), 3),
                    "peak_mb": round(median(r.measured.peak_mb for r in mine), 1),
                    "runs": len(mine),
                    **({"bars": mine[-1].bars} if mine[-1].bars is not None else {}),
                }
        results.append(
            {
                "symbols": symbols,
                "ticks": market.ticks,
                "bars_closed_by_ticks": market.fewest_bars,
                "windows": market.most_bars,
                "subjects": rows,
                "ratios": _ratios(symbols, {k: v["cpu_us_per_tick"] for k, v in rows.items()}),
            }
        )
    return {"results": results, "kept": all(r["kept"] for one in results for r in one["ratios"])}


def _ratios(symbols: int, cpu: Mapping[str, float]) -> list[dict[str, Any]]:
    ours = cpu.get("barwheel")
    found: list[dict[str, Any]] = []
    if ours and "idiomatic" in cpu:
        bound = TIMES_BETTER_THAN_FAUST.get(symbols)
        ratio = cpu["idiomatic"] / ours
        kept = bound is None or ratio >= bound
        found.append({"what": "idiomatic Faust / barwheel", "ratio": ratio, "at_least": bound, "kept": kept})
    for subject, bounds in (("python", NO_BOUNDS), ("records", TIMES_OF_RECORDS), ("batches", TIMES_OF_BATCHES)):
        if ours and subject in cpu:
            bound = bounds.get(symbols)
            ratio = ours / cpu[subject]
            kept = bound is None or ratio <= bound
            found.append({"what": f"barwheel / {LABELS[subject]}", "ratio": ratio, "at_most": bound, "kept": kept})
    return [{**one, "ratio": round(one["ratio"], 3)} for one in found]


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    for one in report["results"]:
        title = f"{one['symbols']:,} symbols, {one['ticks']:,} ticks, {one['windows']:,} bars"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("")
        for heading in ("ticks/s", "CPU us/tick", "peak MB", "bars out"):
            table.add_column(heading, justify="right")
        for subject, row in one["subjects"].items():
            table.add_row(
                LABELS[subject],
                f"{row['ticks_per_second']:,}",
                f"{row['cpu_us_per_tick']:.2f}",
                f"{row['peak_mb']:,.0f}",
                f"{row['bars']:,}" if "bars" in row else "-",
            )
        console.print(table)
        for ratio in one["ratios"]:
            console.print(f"  {ratio['what']}: {ratio['ratio']:.2f} times the CPU{_bound(ratio)}", highlight=False)
        console.print()


def _bound(ratio: Mapping[str, Any]) -> str:
    word = "at_least" if "at_least" in ratio else "at_most"
    if ratio[word] is None:
        return ""
    verdict = "kept" if ratio["kept"] else "[red]missed[/red]"
    return f" (expected {word.replace('_', ' ')} {ratio[word]:g}: {verdict})"
