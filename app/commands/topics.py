"""`app topics`: create and check the topics of this app."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from faust.cli.base import option

from agents.bar_schemas import bar_schema
from agents.sources import source_specs
from agents.topics import TopicsReport, ensure, look, specs
from app.commands import base
from app.errors import InputError, TopicsError
from app.settings import Settings

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--check", is_flag=True, default=False, show_default=False, help="Only check; create nothing."),
        option("--schema", is_flag=True, default=False, show_default=False, help="Only print the schema of the bars."),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def topics(self: base.BarwheelCommand, *, check: bool, schema: bool, as_json: bool) -> int:  # noqa: ARG001
        """Create missing topics and check the others.

        Existing topics are never changed. Exit code 4 if a topic does not fit the settings, 1 if --check finds one missing.

        \b
        Example:
          app topics
          BARWHEEL_TOPIC_PARTITIONS=32 app topics
          app topics --check
          BARWHEEL_BARS_FORMAT=avro \\
              BARWHEEL_SCHEMA_REGISTRY_URL=http://registry:8081 \\
              app topics --schema
        """  # noqa: D301 - click reads \b
        if schema:
            return print_schema(Settings.load())
        return await run(Settings.load(), check=check, as_json=as_json)


async def run(settings: Settings, *, check: bool, as_json: bool) -> int:
    """Create or only check, print, return the exit code; raises `TopicsError` if a topic does not fit."""
    cluster = await base.reach(settings)
    report = await (look if check else ensure)(settings, cluster)
    if as_json:
        base.out_json(as_data(report))
    else:
        _print(settings, report)
    fatal = [str(f) for f in report.findings if f.fatal]
    if fatal:
        raise TopicsError("; ".join(fatal))
    return 1 if any(name not in report.states for name in names(settings)) else 0


def print_schema(settings: Settings) -> int:
    """Print the schema that a worker registers, or looks for with bars_register=off."""
    found = bar_schema(settings)
    if found is None:
        raise InputError("bars_format=json: bars have no schema; set bars_format to avro or protobuf")
    base.out(found.text)
    return 0


def names(settings: Settings) -> list[str]:
    """All topics of this app, the input first."""
    sources = [spec.name for spec in source_specs(settings)] if settings.repartition else []
    return [*sources, settings.input_topic, *(spec.name for spec in specs(settings, 1))]


def as_data(report: TopicsReport) -> dict[str, object]:
    """The report as JSON data."""
    return {
        "partitions": report.partitions,
        "created": report.created,
        "topics": {name: asdict(state) for name, state in report.states.items()},
        "findings": [asdict(finding) for finding in report.findings],
    }


def _print(settings: Settings, report: TopicsReport) -> None:
    base.console().print(base.topic_table(settings, report))
    for finding in report.findings:
        base.say(str(finding))
