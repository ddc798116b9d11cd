"""Shared by the commands: the base class with its exit codes, output, and the connection to the broker."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn

import orjson
from faust.cli.base import AppCommand, option
from rich.table import Table

from agents.sources import all_source_specs
from agents.topics import TopicsReport, input_spec, specs
from app.display import console, utc
from app.errors import BarwheelError, InputError
from app.kafka.bootstrap import cluster_for, wait_for_broker
from app.kafka.cluster import Cluster
from app.plain import plain
from app.settings import Settings
from app.stderr import cannot_write, discard_output, fail

__all__ = [
    "COMMAND_DEADLINE",
    "BarwheelCommand",
    "ask",
    "console",
    "json_option",
    "out",
    "out_json",
    "progress",
    "reach",
    "say",
    "time_ms",
    "topic_table",
    "utc",
]

COMMAND_DEADLINE = 15.0  # seconds a command waits for a broker; a worker waits without limit
progress = console(stderr=True)
json_option = option("--json", "as_json", is_flag=True, default=False, show_default=False, help="Print JSON.")


class BarwheelCommand(AppCommand):
    """Base of our commands. `run` returns the exit code; a `BarwheelError` is printed in one line and gives its own code."""

    abstract: ClassVar[bool] = True

    def _finalize_concrete_app(self, app: Any) -> Any:
        """As Faust's, which would also make the web server: only a worker has one."""
        app.finalize()
        return app

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run in a plain event loop. Faust's service worker would take over logging and signals."""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # so that asyncio.run cancels the command
        try:
            code = asyncio.run(self.run(*self.args, **self.kwargs))
            if sys.stdout is not None:
                sys.stdout.flush()  # flushed here, where a closed pipe can be told from a failure
        except BarwheelError as error:
            fail(error)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except BrokenPipeError:  # `app bars --json | head`: the reader has enough
            discard_output()
            raise SystemExit(0) from None
        except OSError as error:
            cannot_write(error)
        raise SystemExit(code or 0)


async def reach(settings: Settings) -> Cluster:
    """The cluster, once its broker answers; raises `BrokerError` after 15 s."""
    cluster = await asyncio.to_thread(cluster_for, settings)
    await wait_for_broker(cluster, say=say, deadline=COMMAND_DEADLINE)
    return cluster


def say(text: str) -> None:
    """Print one line of progress on stderr."""
    progress.print(text, soft_wrap=True)


def ask(question: str) -> bool | None:
    """Whether the user says yes; None where nobody can be asked, because standard input is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    sys.stderr.write(f"{plain(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def out(text: str) -> None:
    """Print one line of the result on stdout. A terminal gets no control characters, a file or a pipe all of it."""
    if sys.stdout is None:
        raise BarwheelError("cannot write the result: standard output is closed")
    sys.stdout.write((plain(text) if sys.stdout.isatty() else text) + "\n")


def out_json(value: object) -> None:
    """Print one JSON document on stdout."""
    out(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def time_ms(text: str, name: str) -> int:
    """Epoch ms of `2014-05-05T00:00:00Z`, `2014-05-05` or a number; UTC unless an offset is given.

    Raises `InputError`, which names the option `name`.
    """
    try:
        if text.lstrip("-").isdigit():
            return int(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{name} {text}: is not a time; write 2014-05-05T00:00:00Z, 2014-05-05 or epoch milliseconds"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def topic_table(settings: Settings, report: TopicsReport) -> Table:
    """The topics of this app: partitions, policies, and what they hold."""
    made = Table(box=None, pad_edge=False)
    for name in ("topic", "partitions", "cleanup", "timestamps", "contents", ""):
        made.add_column(name, justify="right" if name == "partitions" else "left")
    for spec in [*all_source_specs(settings, report.states), input_spec(settings), *specs(settings, report.partitions)]:
        state = report.states.get(spec.name)
        note = "created" if spec.name in report.created else ""
        if state is None:
            made.add_row(spec.name, "-", "-", "-", spec.why, "missing")
        else:
            policy = state.configs.get("cleanup.policy", "?")
            stamps = state.configs.get("message.timestamp.type", "?")
            made.add_row(spec.name, str(state.partitions), policy, stamps, spec.why, note)
    return made
