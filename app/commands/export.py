"""`app export`: copy the final bars into Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from faust.cli.base import argument, option
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.bar_columns import DEFAULT_SCALE, MAX_SCALE
from app.commands import base
from app.errors import InputError
from app.operations.export import Exported, export_bars, topic_of
from app.settings import Settings

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("directory"),
        option(
            "--scale",
            type=int,
            default=DEFAULT_SCALE,
            help="Decimals of prices and volumes, which have 38 digits.",
        ),
        option(
            "--over-gaps",
            is_flag=True,
            default=False,
            show_default=False,
            help="Go on where bars were deleted from the topic before they were exported.",
        ),
        option("--frame", default="", show_default=False, help="The bars of one of `frames`, such as 1h."),
        option(
            "--revisions",
            is_flag=True,
            default=False,
            show_default=False,
            help="The bars that late ticks have revised, instead of the final ones.",
        ),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def export(self: base.BarwheelCommand, *, directory: str, **options: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Copy the final bars, or their revisions, into Parquet files by day and broker.

        The next run goes on where this one ended. Prices are exact decimals. Needs pyarrow: pip install 'barwheel[parquet]'

        \b
        Example:
          app export bars
          app export short --scale 4 --json
          app export hours --frame 1h         with frames=1h
          app export revised --revisions      with late_policy=correct
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), Path(directory), options)


async def run(settings: Settings, directory: Path, options: dict[str, Any]) -> int:
    """Export and report."""
    scale, revisions = options["scale"], options["revisions"]
    if not 0 <= scale <= MAX_SCALE:
        raise InputError(f"--scale {scale}: must lie between 0 and {MAX_SCALE}")
    topic = topic_of(settings, options["frame"], revisions=revisions)
    cluster = await base.reach(settings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=base.progress, transient=True) as shown:
        task = shown.add_task(topic, total=None)
        done = await export_bars(
            settings,
            cluster,
            topic,
            directory,
            scale,
            over_gaps=options["over_gaps"],
            report=lambda read, of: shown.update(task, completed=read, total=of),
        )
    _report(done, directory, as_json=options["as_json"])
    if settings.corrects and not revisions:
        base.say("these are the bars as they were first published: --revisions copies what late ticks revised, elsewhere")
    return 0


def _report(done: Exported, directory: Path, *, as_json: bool) -> None:
    if as_json:
        positions = {str(number): offset for number, offset in sorted(done.positions.items())}
        base.out_json({"bars": done.bars, "files": done.files, "deleted_files": done.deleted, "positions": positions})
        return
    if done.deleted:
        base.say(f"deleted {done.deleted} files of an export that was interrupted")
    base.out(f"{done.bars:,} bars into {done.files:,} files in {directory}" if done.bars else "no new bars")
