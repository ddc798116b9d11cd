"""`app doctor`: check settings, broker, topics and clock."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from agents.engines import why_python
from app.commands import base
from app.operations.diagnosis import Examination, examine
from app.settings import Settings

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(base.json_option, base=base.BarwheelCommand)
    async def doctor(self: base.BarwheelCommand, *, as_json: bool) -> int:  # noqa: ARG001 - Faust passes itself
        """Check settings, broker, topics and clock.

        Changes nothing. Every finding has a remedy. Exit code 1 if anything is wrong.

        \b
        Example:
          app doctor
          BARWHEEL_BROKER=kafka://host:9092 app doctor --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), as_json=as_json)


async def run(settings: Settings, *, as_json: bool) -> int:
    """Examine and print; returns the exit code."""
    result = await examine(settings)
    if as_json:
        base.out_json(_as_data(settings, result))
    else:
        _print(settings, result)
    return 0 if result.ok else 1


def _as_data(settings: Settings, result: Examination) -> dict[str, Any]:
    names = type(settings).model_fields
    return {
        "settings": {n: {"value": settings.text_of(n), "source": settings.source_of(n)} for n in names},
        "broker": {
            "address": None if result.cluster is None else str(result.cluster),
            "pocket": settings.pocket,
            "answers": result.report is not None,
        },
        "topics": {n: asdict(s) for n, s in result.report.states.items()} if result.report else {},
        "clock": result.clock,
        "core": {"name": "python" if (why := why_python(settings)) else "native", "why": why},
        "findings": [asdict(item) for item in result.items],
        "ok": result.ok,
    }


def _print(settings: Settings, result: Examination) -> None:
    console = base.console()
    values = Table(box=None, pad_edge=False)
    for name in ("setting", "value", "from"):
        values.add_column(name)
    for name in type(settings).model_fields:
        values.add_row(name, settings.text_of(name) or "(empty)", settings.source_of(name))
    console.print(values, end="\n\n")
    console.print(f"broker  {result.cluster or 'none that answers'}{' (pocket)' if settings.pocket else ''}")
    console.print(f"clock   {result.clock}")
    why = why_python(settings)
    console.print(f"core    {f'python: {why}' if why else 'native'}", end="\n\n")
    if result.report is not None:
        console.print(base.topic_table(settings, result.report), end="\n\n")
    for item in result.items:
        console.print(f"{item.level}: {item.text}" + (f"; {item.advice}" if item.advice else ""))
    if result.ok:
        console.print("nothing is wrong")
