"""The faults: a seeded schedule, and how each fault is injected into the processes."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from tests.chaos.background import Background
from tests.chaos.brokers import Killable, Pocket
from tests.chaos.clocked import Clock
from tests.chaos.cluster_faults import ClusterFaults
from tests.chaos.fleet import Fleet, Member
from tests.chaos.kinds import Ends, Fault, Kind
from tests.chaos.options import Options
from tests.chaos.upstream import Upstream
from tests.support.kafka_cluster import KafkaCluster

DECK = (*Kind, Kind.kill, Kind.broker)  # shuffled again and again, so that eleven faults on one broker include every kind
MORE_WORKERS = 2  # the most that a run adds to its initial workers
OVERLAP = 0.3  # the share of faults that are followed by another one before the recovery
UP_DEADLINE = 60.0
CLOSE_DEADLINE = 120.0  # seconds for the last abort
HOURS = (-5, -2, 2, 5)  # by which a clock is set; far above what the idle close and the group wait for


class Faults:
    """Chooses and injects faults."""

    def __init__(  # all that a fault can concern
        self,
        options: Options,
        fleet: Fleet,
        broker: Killable | None,
        ends: Callable[[], Ends],
        upstream: Upstream,
        background: Background,
    ) -> None:
        self.done: list[Fault] = []
        self._options, self._fleet, self._broker, self._ends = options, fleet, broker, ends
        self._upstream, self._background = upstream, background
        self._transactions: list[Future[None]] = []
        self._random = random.Random(options.seed)
        self._kinds = self._deck()
        self._begin: Ends = {}

    def pause(self) -> None:
        """Wait for a random time, up to a second."""
        time.sleep(self._random.uniform(0, 1))

    def inject(self) -> Fault:
        """Inject the next fault. When this returns, all processes run again but may not have recovered."""
        kind = self._possible(next(self._kinds))
        overlaps = self._random.random() < OVERLAP
        text = {
            Kind.kill: self._kill,
            Kind.stop: self._stop,
            Kind.pause: lambda: self._freeze(0.2, self._options.session_seconds / 2),
            Kind.freeze: lambda: self._freeze(self._options.session_seconds + 0.5, self._options.session_seconds + 3),
            Kind.add: self._add,
            Kind.remove: self._remove,
            Kind.broker: self._kill_broker,
            Kind.transaction: self._open_transaction,
            Kind.clock: self._set_clock,
            Kind.broker_clock: self._set_broker_clock,
        }.get(kind, lambda: self._on_nodes(kind))()
        fault = Fault(len(self.done) + 1, kind, text, overlaps, self._begin)
        self.done.append(fault)
        return fault

    def mark_recovered(self) -> None:
        """Note that all faults so far are recovered from: no later repetition is theirs."""
        ends = self._ends()
        for fault in self.done:
            fault.recovered = fault.recovered or ends

    def close(self) -> None:
        """Wait for the transactions that are still open."""
        for transaction in self._transactions:
            transaction.result(CLOSE_DEADLINE)

    def _deck(self) -> Iterator[Kind]:
        while True:
            deck = [kind for kind in DECK if kind in self._options.possible]
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
        """A worker whose web port answers: it must exit with code 0 after SIGTERM."""
        up: list[Member] = []

        def any_up() -> bool:
            up[:] = [member for member in self._fleet.members if member.up]
            return bool(up)

        if not self._fleet.wait(any_up, "a worker's web port answers", UP_DEADLINE):
            return self._any()
        return self._random.choice(up)

    def _mark(self) -> None:
        """Note the end offsets of the finals just before the fault."""
        self._begin = self._ends()

    # ---- the faults; each returns a description

    def _kill(self) -> str:
        member = self._any()
        self._mark()
        member.kill()
        down = self._random.choice((0.0, self._random.uniform(0, 2)))
        time.sleep(down)
        member.spawn()
        return f"{member.name}, down for {down:.1f} s"

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
        began, down = time.monotonic(), self._random.choice((0.0, self._random.uniform(0, 2)))
        time.sleep(down)
        self._broker.start()
        return f"down for {time.monotonic() - began:.1f} s"

    def _on_nodes(self, kind: Kind) -> str:
        assert isinstance(self._broker, KafkaCluster)
        faults = ClusterFaults(self._broker, self._fleet.members[0].ticks_topic, self._random)
        faults.prepare()
        self._mark()
        return faults.inject(kind)

    def _open_transaction(self) -> str:
        """Returns while it is open, so that the next fault may come meanwhile."""
        seconds, opened = self._random.uniform(0.5, 4), threading.Event()
        self._mark()
        transaction = self._background.start(self._upstream.abort_one(opened.set, seconds))
        self._transactions.append(transaction)
        opened.wait(CLOSE_DEADLINE)
        return f"open for {seconds:.1f} s"

    def _set_clock(self) -> str:
        member = self._any()
        return f"{member.name}, {self._step(member.clock)}"

    def _set_broker_clock(self) -> str:
        assert isinstance(self._broker, Pocket)
        return self._step(self._broker.clock)

    def _step(self, clock: Clock) -> str:
        """Set a clock for a while, then right again."""
        hours, seconds = self._random.choice(HOURS), self._random.uniform(0.5, 4)
        self._mark()
        clock.set(hours * 3_600)
        try:
            time.sleep(seconds)
        finally:
            clock.set(0)
        return f"{hours:+d} hours for {seconds:.1f} s"
