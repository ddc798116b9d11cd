"""What barwheel changes in Faust's command line: the text and groups of `--help`, `--version`, and commands without a use here.

Written for faust-streaming 0.15.3, where the command line is one click group per process, `faust.cli.base.cli`, an
instance of the private class `_Group`. tests/unit/test_commands_faust.py fails when that changes.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, NoReturn, cast

import click
from click.utils import make_default_short_help
from faust.cli.base import _Group
from faust.cli.faust import cli  # with all of Faust's commands

from app.errors import InputError
from app.stderr import fail
from app.version import __version__

if TYPE_CHECKING:
    import faust

HELP = """barwheel turns ticks into final OHLC bars.

A worker reads ticks from Kafka and publishes each bar once, as soon as it is final. Without BARWHEEL_BROKER it starts a
small broker of its own for trying out. To see everything in half a minute: app demo --once
"""
# \b keeps click from joining the lines
EPILOG = """\b
`app COMMAND --help` shows the options of a command, with examples.
Documentation: docs/commands.md, docs/settings.md (BARWHEEL_ variables), docs/migrations.md.
"""
GROUPS = {  # the commands of `--help`, and what they say there
    "Run": {
        "worker": "Run a worker until it is stopped.",
        "demo": "Send a synthetic market to a worker and show its bars as they come.",
        "broker": "Run the pocket broker in the foreground until Ctrl-C.",
    },
    "Look": {
        "inspect": "Say what a topic of ticks looks like, and which settings fit.",
        "bars": "Print final bars, oldest first: of each the newest revision.",
        "doctor": "Check settings, broker, topics and clock.",
    },
    "Data": {
        "replay": "Send recorded ticks from CSV, JSON lines or Parquet; - is standard input.",
        "export": "Copy the final bars, or their revisions, into Parquet files by day and broker.",
        "backfill": "Compute bars once more, and compare them with the published ones.",
    },
    "Operate": {
        "topics": "Create missing topics and check the others.",
        "flush": "Close the open windows now, of one broker or of all.",
    },
    "ksqlDB": {
        "migrate": "Apply a KSQL plan to a ksqlDB server.",
        "reconcile": "Compare the bars with those that ksqlDB computes.",
    },
    "Faust's own": {
        "agents": "List the Faust agents.",
        "tables": "List the Faust tables.",
        "send": "Send one record to a topic, or to an agent's topic (@NAME).",
        "completion": "Print the completion script of a shell; the default is $SHELL.",
    },
}
SUMMARIES = {name: text for texts in GROUPS.values() for name, text in texts.items()}
UNCHANGED = ("worker", "agents", "tables")  # of Faust; each other command is in the module of its name, beside this one
# Hidden from --help; running one exits with code 2 and the reason.
UNUSED = {
    "reset": "there are no local tables to delete; to start from nothing set another app_id",
    "clean-versions": "there is no local table data to delete",
    "livecheck": "this app has no LiveCheck tests; `app doctor` checks settings, broker and topics",
    "models": "this app has no Faust models; README.md has the fields of ticks and bars",
    "model": "this app has no Faust models; README.md has the fields of ticks and bars",
}
WORKER_OPTIONS = {  # whose defaults are not those that Faust's text names
    "web_port": "Port of the page, the API and the metrics.  [default: the setting web_port]",
    "web_bind": "Address that this port listens on.  [default: the setting web_host]",
    "web_host": "Host by which other workers reach it.  [default: the setting web_host]",
    "logfile": "Log file.  [default: standard error]",
    "loglevel": "Logging level.  [default: info]",
}
WORKER_EPILOG = "\b\nExample:\n  app worker\n  app worker --web-port 6067      a second one on this machine"


class BarwheelGroup(_Group):
    """Faust's group with its commands by subject, before the options. A command of ours is imported when it is asked for."""

    waiting: dict[str, faust.App]  # for which app each command of ours is made

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted({*super().list_commands(ctx), *self.waiting})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A command by its name; None if there is none."""
        app = self.waiting.pop(name, None)
        if app is not None:
            importlib.import_module(f"app.commands.{name}").register(app)
        return super().get_command(ctx, name)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group; commands that are in none come last."""
        others = {name: self.get_command(ctx, name) for name in self.list_commands(ctx) if name not in SUMMARIES}
        rest = {name: found.get_short_help_str(200) for name, found in others.items() if found and not found.hidden}
        width = max(map(len, [*SUMMARIES, *rest]))
        limit = formatter.width - width - 4
        for title, texts in {**GROUPS, "Other": rest}.items():
            if texts:
                with formatter.section(title):
                    formatter.write_dl(
                        [(name.ljust(width), make_default_short_help(text, limit)) for name, text in texts.items()]
                    )


def adapt(app: faust.App) -> None:
    """Change Faust's command line, and add our commands for an app."""
    cli.__class__ = BarwheelGroup
    cast("BarwheelGroup", cli).waiting = {name: app for name in SUMMARIES if name not in UNCHANGED}
    cli.help, cli.epilog = HELP, EPILOG
    cli.params = [_version_option() if param.name == "version" else param for param in cli.params]
    for name in UNCHANGED:
        cli.commands[name].help = SUMMARIES[name]
    _adapt_worker(cli.commands["worker"])
    for name, reason in UNUSED.items():
        cli.commands[name] = _unused(name, reason)


def _adapt_worker(worker: click.Command) -> None:
    worker.epilog = WORKER_EPILOG
    for param in worker.params:
        if isinstance(param, click.Option) and param.name in WORKER_OPTIONS:
            param.help, param.show_default = WORKER_OPTIONS[param.name], False


def _version_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click passes it
        if value and not ctx.resilient_parsing:
            click.echo(f"barwheel {__version__} (faust-streaming {importlib.metadata.version('faust-streaming')})")
            ctx.exit()

    return click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=show, help="Show the version and exit."
    )


def _unused(name: str, reason: str) -> click.Command:
    def refuse(arguments: tuple[str, ...]) -> NoReturn:  # noqa: ARG001 - whatever was given
        fail(InputError(f"{name}: {reason}"))

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1)],
        context_settings={"ignore_unknown_options": True},
        help=f"Not used by barwheel: {reason}.",
        hidden=True,
    )
