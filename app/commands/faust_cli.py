"""What barwheel changes in Faust's command line: the text and groups of `--help`, `--version`, and commands without a use here.

Written for faust-streaming 0.15.3, where the command line is one click group per process, `faust.cli.base.cli`, an
instance of the private class `_Group`. tests/unit/test_commands_faust.py fails when that changes.
"""

from __future__ import annotations

import importlib.metadata
from typing import NoReturn

import click
from faust.cli.base import _Group
from faust.cli.faust import cli  # with all of Faust's commands

from app.errors import InputError
from app.stderr import fail
from app.version import __version__

HELP = """barwheel turns ticks into final OHLC bars.

A worker reads ticks from Kafka and publishes each bar once, as soon as it is final. Without BARWHEEL_BROKER it starts a
small broker of its own for trying out. To see everything in half a minute: app demo --once
"""
# \b keeps click from joining the lines
EPILOG = """\b
`app COMMAND --help` shows the options of a command, with examples.
Documentation: docs/commands.md, docs/settings.md (BARWHEEL_ variables), docs/migrations.md.
"""
GROUPS = {
    "Run": ("worker", "demo", "broker"),
    "Look": ("inspect", "bars", "doctor"),
    "Data": ("replay", "export", "backfill"),
    "Operate": ("topics", "flush"),
    "ksqlDB": ("migrate", "reconcile"),
    "Faust's own": ("agents", "tables", "send", "completion"),
}
# Hidden from --help; running one exits with code 2 and the reason.
UNUSED = {
    "reset": "there are no local tables to delete; to start from nothing set another app_id",
    "clean-versions": "there is no local table data to delete",
    "livecheck": "this app has no LiveCheck tests; `app doctor` checks settings, broker and topics",
    "models": "this app has no Faust models; README.md has the fields of ticks and bars",
    "model": "this app has no Faust models; README.md has the fields of ticks and bars",
}
HELP_OF = {  # of Faust's commands
    "worker": "Run a worker until it is stopped.",
    "agents": "List the Faust agents.",
    "tables": "List the Faust tables.",
}
WORKER_EPILOG = "\b\nExample:\n  app worker\n  app worker --web-port 6067      a second one on this machine"


class BarwheelGroup(_Group):
    """Faust's group with its commands by subject, before the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group; commands that are in none come last."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: command for name, command in commands.items() if command and not command.hidden}
        rest = tuple(sorted(shown.keys() - {name for names in GROUPS.values() for name in names}))
        width = max(map(len, shown))
        limit = formatter.width - width - 4
        for title, names in {**GROUPS, "Other": rest}.items():
            rows = [(name.ljust(width), shown[name].get_short_help_str(limit)) for name in names if name in shown]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def adapt() -> None:
    """Change Faust's command line; call it after all commands are registered."""
    cli.__class__ = BarwheelGroup
    cli.help, cli.epilog = HELP, EPILOG
    cli.params = [_version_option() if param.name == "version" else param for param in cli.params]
    for name, text in HELP_OF.items():
        cli.commands[name].help = text
    cli.commands["worker"].epilog = WORKER_EPILOG
    for name, reason in UNUSED.items():
        cli.commands[name] = _unused(name, reason)


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
