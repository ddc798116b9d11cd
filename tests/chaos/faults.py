"""The faults: which one is next, by a seed, and how each is done to the processes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.chaos.brokers import Killable
from tests.chaos.fleet import Fleet, Member
from tests.chaos.options import Kind, Options
from tests.chaos.watch import Ends

DECK = (*Kind, Kind.kill, Kind.broker)  # shuffled again and again: ten faults hold every kind
MORE_WORKERS = 2  # at most so many above the number a run began with
HASTE = 0.3  # how often a fault follows another that has not been recovered from yet
COVERED = frozenset({Kind.kill, Kind.freeze})  # after these a key may be repeated, with an equal value: docs/delivery.md
UP_DEADLINE = 60.0


@dataclass
class Fault:
    """One that happened; `begin` and `settled` are end offsets of the finals around it."""

    number: int
    kind: Kind
    text: str
    hasty: bool
    begin: Ends = field(default_factory=dict)
    settled: Ends | None = None

    def holds(self, partition: int, offset: int) -> bool:
        """Whether an offset of the finals was written between this fault and the recovery from it."""
        before_recovery = self.settled is None or offset < self.settled[partition]
        return self.begin.get(partition, 0) <= offset and before_recovery


class Faults:
    """Draws and does them."""

    def __init__(self, options: Options, fleet: Fleet, broker: Killable | None, ends: Callable[[], Ends]) -> None:
        self.done: list[Fault] = []
        self._options, self._fleet, self._broker, self._ends = options, fleet, broker, ends
        self._random = random.Random(options.seed)
        self._kinds = self._deck()
        self._begin: Ends = {}

    def pause(self) -> None:
        """The schedule itself: a random moment."""
        time.sleep(self._random.uniform(0, 1))

    def next(self) -> Fault:
        """Do the next fault; where it ends, the processes run again, but need not have recovered."""
        kind = self._possible(next(self._kinds))
        hasty = self._random.random() < HASTE
        text = {
            Kind.kill: self._kill,
            Kind.stop: self._stop,
            Kind.pause: lambda: self._freeze(0.2, self._options.session_seconds / 2),
            Kind.freeze: lambda: self._freeze(self._options.session_seconds + 0.5, self._options.session_seconds + 3),
            Kind.add: self._add,
            Kind.remove: self._remove,
            Kind.broker: self._kill_broker,
        }[kind]()
        fault = Fault(len(self.done) + 1, kind, text, hasty, self._begin)
        self.done.append(fault)
        return fault

    def settled(self) -> None:
        """Everything works again: what is written from now on is no fault's doing."""
        ends = self._ends()
        for fault in self.done:
            fault.settled = fault.settled or ends

    def _deck(self) -> Iterator[Kind]:
        while True:
            deck = [kind for kind in DECK if kind in self._options.kinds]
            self._random.shuffle(deck)
            yield from deck

    def _possible(self, kind: Kind) -> Kind:
        members = len(self._fleet.members)
        if kind is Kind.add and members >= self._options.workers + MORE_WORKERS:
            return Kind.kill
        if kind is Kind.remove and members == 1:
            return Kind.stop
        return kind

    def _any(self) -> Member:
        return self._random.choice(self._fleet.members)

    def _up(self) -> Member:
        """One that must end well when it is asked to."""
        found: list[Member] = []

        def some() -> bool:
            found[:] = [member for member in self._fleet.members if member.up]
            return bool(found)

        if not self._fleet.wait(some, "a worker's web port answers", UP_DEADLINE):
            return self._any()
        return self._random.choice(found)

    def _mark(self) -> None:
        """Where the finals end, just before the signal."""
        self._begin = self._ends()

    # ---- each of them

    def _kill(self) -> str:
        member = self._any()
        self._mark()
        member.kill()
        away = self._random.choice((0.0, self._random.uniform(0, 2)))
        time.sleep(away)
        member.spawn()
        return f"{member.name}, away for {away:.1f} s"

    def _stop(self) -> str:
        member = self._up()
        self._mark()
        self._fleet.stop(member)
        member.spawn()
        return member.name

    def _freeze(self, least: float, most: float) -> str:
        member, seconds = self._any(), self._random.uniform(least, most)
        assert member.process is not None
        self._mark()
        member.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            member.process.send_signal(signal.SIGCONT)
        return f"{member.name} for {seconds:.1f} s"

    def _add(self) -> str:
        self._mark()
        return self._fleet.add().name

    def _remove(self) -> str:
        member = self._up()
        self._mark()
        self._fleet.remove(member)
        return member.name

    def _kill_broker(self) -> str:
        assert self._broker is not None
        self._mark()
        self._broker.kill()
        began, away = time.monotonic(), self._random.choice((0.0, self._random.uniform(0, 2)))
        time.sleep(away)
        self._broker.start()
        return f"away for {time.monotonic() - began:.1f} s"
