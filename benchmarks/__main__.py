"""`python -m benchmarks throughput`, `peers`, `live`, `safety`, `recovery`, `partitions`, `page`, `wheel`, and more."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from rich.console import Console

from benchmarks import (
    compression,
    formats,
    frames,
    live,
    memory,
    migrations,
    page,
    partitions,
    parts,
    recovery,
    report,
    safety,
    scale,
    throughput,
    wheel,
)
from benchmarks.peers import run as peers
from benchmarks.peers import subjects, table

MOST_PEER_TICKS = 20_000_000  # 1.7 GB in the log, and as much in the topics of a subject


def main() -> int:  # noqa: PLR0915  # an option after another
    """Run one benchmark. Returns 1 if `--check` is given and a bound is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="example: python -m benchmarks throughput --symbols 1000 --repeat 3",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fast = commands.add_parser("throughput", help="barwheel beside idiomatic Faust and two floors, on Apache Kafka")
    fast.add_argument("--ticks", type=int, default=2_000_000, help="ticks in each topic (default %(default)s)")
    fast.add_argument("--symbols", type=_numbers, default=[1_000, 100_000], help="default 1000,100000")
    fast.add_argument("--repeat", type=int, default=1, help="runs of each subject; medians are shown")
    fast.add_argument("--subjects", type=_subjects, default=list(throughput.SUBJECTS), help="run only these")
    others = commands.add_parser("peers", help="barwheel beside Flink, Kafka Streams, csp and Quix Streams, on Apache Kafka")
    others.add_argument("--ticks", type=_peer_ticks, default=8_000_000, help="ticks in each topic (default %(default)s)")
    others.add_argument("--symbols", type=_numbers, default=[1_000, 100_000], help="default 1000,100000")
    others.add_argument("--repeat", type=int, default=1, help="runs of each, in turns; medians are shown")
    others.add_argument("--peers", type=_peers, default=list(subjects.DEFAULT), help=f"among {','.join(subjects.PEERS)}")
    others.add_argument("--bootstrap", metavar="HOST:PORT", help="a running Kafka")
    safe = commands.add_parser("safety", help="what checkpoints and transactions cost, on Apache Kafka")
    safe.add_argument("--ticks", type=int, default=2_000_000, help="ticks in the topic (default %(default)s)")
    safe.add_argument("--symbols", type=_numbers, default=[100_000], help="default 100000")
    safe.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown")
    more = commands.add_parser("frames", help="what longer bars and late ticks that revise bars cost, on Apache Kafka")
    more.add_argument("--ticks", type=int, default=2_000_000, help="ticks in each topic (default %(default)s)")
    more.add_argument("--symbols", type=_numbers, default=[1_000, 100_000], help="default 1000,100000")
    more.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown")
    back = commands.add_parser("recovery", help="how long a killed worker's partitions stand still, on Apache Kafka")
    back.add_argument("--ticks", type=int, default=400_000, help="ticks in the topic (default %(default)s)")
    back.add_argument("--symbols", type=_numbers, default=[100_000], help="default 100000")
    many = commands.add_parser("partitions", help="a worker with many partitions, on Apache Kafka")
    many.add_argument("--partitions", type=_numbers, default=[64, 256], help="default 64,256")
    shown = commands.add_parser("page", help="what streams, floods, a search and a chart cost, on Apache Kafka")
    paced = commands.add_parser("live", help="CPU a tick and latency at live pace, on Apache Kafka")
    paced.add_argument("--rates", type=_numbers, default=[1_000, 20_000, 100_000], help="ticks/s (default 1000,20000,100000)")
    paced.add_argument("--delivery", choices=live.DELIVERIES, action="append", help="default: both, one after the other")
    paced.add_argument("--symbols", type=int, default=10_000, help="default %(default)s")
    paced.add_argument("--seconds", type=float, default=30.0, help="measured at each pace (default %(default)s)")
    paced.add_argument("--window", type=int, default=10, help="window size in seconds (default %(default)s)")
    paced.add_argument("--silences", type=int, default=2, help="after them (default %(default)s)")
    wide = commands.add_parser("scale", help="1, 2 and 4 workers on a topic, and what a large market needs, on Apache Kafka")
    wide.add_argument("--ticks", type=int, default=3_000_000, help="ticks in each topic (default %(default)s)")
    wide.add_argument("--symbols", type=_number, default=[100_000], help="default 100000")
    wide.add_argument("--workers", type=_numbers, default=[1, 2, 4], help="default 1,2,4")
    wide.add_argument("--partitions", type=_numbers, default=[8, 64], help="default 8,64")
    wide.add_argument("--repeat", type=int, default=1, help="runs of each (default %(default)s)")
    wide.add_argument("--plan-symbols", type=int, default=1_000_000, help="of the market to plan for (default %(default)s)")
    wide.add_argument("--plan-rate", type=int, default=10_000_000, help="its ticks/s (default %(default)s)")
    for one in (fast, safe, more, back, many, shown, paced, wide):
        where = one.add_mutually_exclusive_group()
        where.add_argument("--bootstrap", metavar="HOST:PORT", help="a running Kafka")
        where.add_argument("--pocket", action="store_true", help="the pocket broker instead of Apache Kafka")
    turn = commands.add_parser("wheel", help="the timing wheel beside a heap and one call_later a symbol")
    turn.add_argument("--scopes", type=int, default=100_000, help="default %(default)s")
    turn.add_argument("--repeat", type=int, default=3, help="runs of each; medians are shown")
    held = commands.add_parser("memory", help="what open windows take, and that nothing else stays")
    held.add_argument("--symbols", type=int, default=100_000, help="default %(default)s")
    held.add_argument("--minutes", type=int, default=60, help="of trading, at least 6 (default %(default)s)")
    plans = commands.add_parser("migrations", help="how long it takes to plan 1,000 statements, and to apply many")
    plans.add_argument("--repeat", type=int, default=3, help="runs; the median is shown")
    shapes = commands.add_parser("formats", help="CPU a tick by the layout of the ticks, beside the default one")
    shapes.add_argument("--ticks", type=int, default=50_000, help="default %(default)s")
    shapes.add_argument("--repeat", type=int, default=9, help="runs of each; medians are shown")
    apart = commands.add_parser("parts", help="where the CPU of a tick goes within the engine")
    apart.add_argument("--ticks", type=int, default=2_000_000, help="of four partitions; one is read (default %(default)s)")
    apart.add_argument("--repeat", type=int, default=3, help="runs; medians are shown")
    packed = commands.add_parser("compression", help="what each compression of bars and states costs and saves")
    packed.add_argument("--ticks", type=int, default=400_000, help="default %(default)s")
    packed.add_argument("--repeat", type=int, default=5, help="runs of each; medians are shown")
    for one in (fast, others, safe, more, back, many, shown, paced, wide, turn, held, plans, shapes, apart, packed):
        one.add_argument("--json", action="store_true", help="print JSON")
        one.add_argument("--check", action="store_true", help="exit with code 1 if a bound is missed")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stops the processes that were started, like Ctrl-C
    console = Console()
    found, show = _measured(arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        show(found, console)
    return 1 if arguments.check and not found["kept"] else 0


Shown = Callable[[dict[str, Any], Console], None]


def _measured(arguments: argparse.Namespace) -> tuple[dict[str, Any], Shown]:  # noqa: PLR0911  # one return a command
    """The result, and the function that prints it."""
    if arguments.command == "wheel":
        return wheel.run(arguments.scopes, arguments.repeat), wheel.show
    engines: dict[str, Any] = {"compression": compression, "formats": formats, "parts": parts}
    if arguments.command in engines:
        subject = engines[arguments.command]
        return subject.run(arguments.ticks, arguments.repeat), subject.show
    if arguments.command == "migrations":
        return migrations.run(arguments.repeat), migrations.show
    if arguments.command == "memory":
        return memory.run(arguments.symbols, max(6, arguments.minutes)), memory.show
    options = throughput.Options(
        getattr(arguments, "ticks", 0),
        getattr(arguments, "symbols", ()),
        getattr(arguments, "repeat", 1),
        getattr(arguments, "subjects", ()),
        arguments.bootstrap,
        getattr(arguments, "pocket", False),
    )
    if arguments.command == "peers":
        found = peers.run(replace(options, subjects=arguments.peers))
        return table.summary(found, arguments.symbols, arguments.peers), table.show
    if arguments.command == "live":
        deliveries = arguments.delivery or live.DELIVERIES
        pace = live.Pace(
            arguments.rates, deliveries, arguments.symbols, arguments.seconds, arguments.window, arguments.silences
        )
        return live.run(options, pace), live.show
    if arguments.command == "scale":
        large = scale.Large(arguments.plan_symbols, arguments.plan_rate)
        return scale.run(options, arguments.workers, arguments.partitions, large), scale.show
    if arguments.command == "partitions":
        return partitions.run(options, arguments.partitions), partitions.show
    with_options: dict[str, Any] = {"page": page, "safety": safety, "frames": frames, "recovery": recovery}
    if arguments.command in with_options:
        subject = with_options[arguments.command]
        return subject.run(options), subject.show
    return report.summary(*throughput.run(options)), report.show


def _numbers(text: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


def _number(text: str) -> list[int]:
    return [int(text.replace("_", ""))]


def _subjects(text: str) -> list[str]:
    return _among(text, throughput.SUBJECTS)


def _peers(text: str) -> list[str]:
    return _among(text, subjects.PEERS)


def _among(text: str, known: Collection[str]) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: must be among {', '.join(known)}")
    return names


def _peer_ticks(text: str) -> int:
    ticks = int(text.replace("_", ""))
    if not 1 <= ticks <= MOST_PEER_TICKS:
        raise argparse.ArgumentTypeError(f"{ticks}: must be between 1 and {MOST_PEER_TICKS:,}")
    return ticks


if __name__ == "__main__":
    sys.exit(main())
