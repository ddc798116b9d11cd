"""`app doctor`: check settings, broker, topics and clock."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from faust.cli.base import option
from rich.table import Table

from agents.engines import why_python
from app.commands import base
from app.errors import BarwheelError, InputError
from app.operations.diagnosis import Examination, examine
from app.operations.fixes import apply, fixes_of
from app.settings import Settings
from app.settings.subjects import SUBJECTS

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--fix", is_flag=True, default=False, show_default=False,
            help="Create missing topics and correct configs of the topics that this app writes, after asking."),
        option("--yes", is_flag=True, default=False, show_default=False, help="With --fix: do not ask."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def doctor(self: base.BarwheelCommand, *, fix: bool, yes: bool, as_json: bool) -> int:  # noqa: ARG001
        """Check settings, broker, topics and clock.

        Every finding has its risk and a remedy. Exit code 1 if anything is wrong. Nothing is changed without --fix, and
        with it neither the input nor topics of others.

        \b
        Example:
          app doctor
          BARWHEEL_BROKER=kafka://host:9092 app doctor --json
          app doctor --fix
        """  # noqa: D301 - click reads \b
        if yes and not fix:
            raise InputError("--yes goes with --fix: doctor alone changes nothing")
        settings = Settings.load()
        done = await mend(settings, ask=not yes) if fix else None
        return await run(settings, done, as_json=as_json)


async def mend(settings: Settings, *, ask: bool) -> list[str]:
    """Make the safe changes; returns what was done.

    Raises `InputError` where nobody can be asked, and `BarwheelError` after a no.
    """
    found = await examine(settings)
    fixes = fixes_of(found.report)
    if not fixes or found.cluster is None:
        base.say("nothing that --fix can mend" + ("" if found.cluster else ": no broker answers"))
        return []
    for one in fixes:
        base.say(f"to do: {one}")
    if ask:
        answer = base.ask("do it?")
        if answer is None:
            raise InputError("nothing was changed: --yes does it without asking")
        if not answer:
            raise BarwheelError("nothing was changed")
    done = await apply(settings, found.cluster, fixes)
    for line in done:
        base.say(f"done: {line}")
    return done


async def run(settings: Settings, done: list[str] | None = None, *, as_json: bool) -> int:
    """Examine and print; returns the exit code. `done`: what was changed before."""
    result = await examine(settings)
    if as_json:
        base.out_json(_as_data(settings, result) | ({} if done is None else {"done": done}))
    else:
        _print(settings, result)
    return 0 if result.ok else 1


def _as_data(settings: Settings, result: Examination) -> dict[str, Any]:
    names = list(chain(*SUBJECTS.values()))
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
    for name in chain(*SUBJECTS.values()):
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
        if item.risk:
            console.print(f"  risk: {item.risk}")
    if result.ok:
        console.print("nothing is wrong")
