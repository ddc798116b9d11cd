"""One run, from the first worker to the verdict."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from app.settings import Settings
from tests.chaos.background import Background
from tests.chaos.brokers import Killable, running
from tests.chaos.copies import as_arrived, as_sent, check_copies, of_copies
from tests.chaos.faults import Faults
from tests.chaos.feed import Feed
from tests.chaos.fleet import Fleet
from tests.chaos.judge import Judge, Topics
from tests.chaos.kinds import Ends, Fault, Kind
from tests.chaos.options import GRACE_MS, PARTITIONS, WINDOW_MS, Options
from tests.chaos.sent import SentLog
from tests.chaos.upstream import Upstream
from tests.chaos.verdict import Verdict
from tests.chaos.watch import Watch
from tests.support import schema_registry
from tests.support.ticks import create_topic, read

DEADLINE = 90.0  # seconds for the first bars, for each recovery and for the end
PROGRESS = 3  # new offsets of the finals in every partition: more than the control records of a transaction
DAY_MS = 86_400_000

Report = Callable[[str], None]


@dataclass
class Outcome:
    """The result of a run."""

    options: Options
    verdict: Verdict
    faults: Counter[Kind] = field(default_factory=Counter)
    seconds: float = 0.0
    directory: Path | None = None  # of the logs, where they were kept

    @property
    def correct(self) -> bool:
        """Whether no rule was broken."""
        return not self.verdict.violations


def run(options: Options, report: Report, *, advance: Callable[[], None] = lambda: None) -> Outcome:
    """Run the crash test. `report` gets a line for each event, `advance` is called after each fault."""
    began = time.monotonic()
    directory = options.keep or Path(tempfile.mkdtemp(prefix="barwheel-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    with running(options.broker, directory / "broker") as (bootstrap, broker), schema_registry.running() as registry:
        one = _Run(options, bootstrap, broker, directory, report, advance, registry.url)
        verdict = one.execute()
    outcome = Outcome(options, verdict, one.counts, time.monotonic() - began, directory)
    if outcome.correct and options.keep is None:
        shutil.rmtree(directory, ignore_errors=True)
        outcome.directory = None
    return outcome


class _Run:
    """Starts workers and market, injects the faults one after another, then collects the verdict."""

    def __init__(
        self,
        options: Options,
        bootstrap: str,
        broker: Killable | None,
        directory: Path,
        report: Report,
        advance: Callable[[], None],
        registry_url: str,
    ) -> None:
        self.counts: Counter[Kind] = Counter()
        self._options, self._bootstrap, self._broker, self._advance = options, bootstrap, broker, advance
        self._report, self._began = report, time.monotonic()
        unique = uuid4().hex[:8]
        self._settings = {
            "app_id": f"chaos-{unique}",
            "ticks_topic": f"ticks-{unique}",
            "topics_prefix": f"{unique}-",
            "topic_partitions": str(PARTITIONS),
            "window_size": f"{WINDOW_MS}ms",
            "grace": f"{GRACE_MS}ms",
            "idle_margin": f"{options.idle_margin_ms}ms",
            "wheel_tick": "100ms",
            "checkpoint_interval": f"{options.checkpoint_ms}ms",
            "session_timeout": f"{options.session_seconds:.0f}s",
            "delivery": options.delivery,
            "scope": options.scope,
            "repartition": "on" if options.repartition else "off",
            "bars_format": options.bars_format,
            "schema_registry_url": registry_url,
        }
        self._names = Settings.load(broker=f"kafka://{bootstrap}", **self._settings)
        self._fleet = Fleet(bootstrap, directory, self._settings, options.broken)
        self._watch = Watch(bootstrap, PARTITIONS)
        self._reported = 0

    def execute(self) -> Verdict:
        """Run to the verdict."""
        timestamps = "LogAppendTime" if self._options.append_time else "CreateTime"
        create_topic(self._bootstrap, self._names.ticks_topic, PARTITIONS, message_timestamp_type=timestamps)
        # the judge must see repetitions, so compaction must not remove them
        create_topic(
            self._bootstrap,
            self._names.finals_topic,
            PARTITIONS,
            cleanup_policy="compact",
            min_compaction_lag_ms=str(DAY_MS),
        )
        with Background() as background:
            try:
                return self._run(background)
            finally:
                self._fleet.end()
                background.run(self._watch.close())

    def _run(self, background: Background) -> Verdict:
        def ends() -> Ends:
            return background.run(self._watch.ends(self._names.finals_topic), DEADLINE)

        for _ in range(self._options.workers):
            self._fleet.add()
        ready = all(self._fleet.wait(member.ready, f"{member.name} is ready", DEADLINE) for member in self._fleet.members)
        feed = Feed(self._bootstrap, self._names.ticks_topic, PARTITIONS, self._options.seed)
        upstream = Upstream(self._bootstrap, self._names.ticks_topic, PARTITIONS)
        faults = Faults(self._options, self._fleet, self._broker, ends, upstream, background)
        if not ready:
            return self._finish(Verdict(), feed)
        feeding = background.start(feed.run())
        self._say(f"{self._options.workers} workers on {self._bootstrap}, seed {self._options.seed}")
        if self._progress(ends, ends(), feeding):
            self._inject(faults, ends, feeding)
        feed.stop()
        feeding.result(2 * DEADLINE)
        faults.close()
        background.run(upstream.close())
        self._say(f"{len(feed.sent.records)} records are in {self._names.ticks_topic}: waiting for the last windows")
        if self._options.repartition:
            self._fleet.wait(self._all_copied, "everything has been copied", DEADLINE)
        accounting = self._settle()
        # a worker that is still starting has no handler for SIGTERM
        self._fleet.wait(lambda: all(member.up for member in self._fleet.members), "all workers are up", DEADLINE)
        self._fleet.stop_all()
        self._report_problems()
        copied = Verdict()
        topics, sent = self._read_back(feed.sent, copied)
        judge = Judge(
            topics,
            sent,
            faults.done,
            self._options.rules,
            idle_margin=self._options.idle_margin_ms,
            append_time=self._options.judged_by_log,
            exactly_once=self._options.delivery == "transactional",
        )
        verdict = judge.judge(accounting)
        verdict.violations[:0] = copied.violations
        return self._finish(verdict, feed)

    def _inject(self, faults: Faults, ends: Callable[[], Ends], feeding: Future[None]) -> None:
        overlaps = False
        for _ in range(self._options.faults):
            faults.pause()
            fault = faults.inject()
            self.counts[fault.kind] += 1
            self._report_fault(fault)
            overlaps = fault.overlaps and not overlaps  # at most two faults at once
            if not overlaps:
                if not self._progress(ends, ends(), feeding):
                    return
                faults.mark_recovered()
            self._advance()
            self._report_problems()
        if overlaps and self._progress(ends, ends(), feeding):
            faults.mark_recovered()

    def _progress(self, ends: Callable[[], Ends], since: Ends, feeding: Future[None]) -> bool:
        """Wait until every partition publishes again; returns False after the deadline."""

        def moved() -> bool:
            if feeding.done():
                feeding.result()
            now = ends()
            return all(now[number] >= end + PROGRESS for number, end in since.items())

        return self._fleet.wait(moved, "every partition publishes again", DEADLINE)

    def _settle(self) -> dict[int, dict[str, int]]:
        """Wait until everything is read and every window is closed; returns the workers' accounting."""
        # behind the last record may be the marker of an aborted transaction, which no counter shows
        wanted = {seen.partition: seen.offset + 1 for seen in read(self._bootstrap, self._names.input_topic)}
        rows: dict[int, dict[str, int]] = {}

        def settled() -> bool:
            rows.clear()
            rows.update(self._fleet.accounting())
            return all(
                number in rows and rows[number]["next_offset"] >= end and not rows[number]["open_windows"]
                for number, end in wanted.items()
            )

        self._fleet.wait(settled, "everything has been read and all windows are closed", DEADLINE)
        return rows

    def _all_copied(self) -> bool:
        copies, source = (read(self._bootstrap, topic) for topic in (self._names.input_topic, self._names.ticks_topic))
        return len(copies) >= len(source)

    def _read_back(self, sent: SentLog, copied: Verdict) -> tuple[Topics, SentLog]:
        """The topics as the judge takes them, and what was sent; `copied` gets what is wrong with the copies."""
        names, bootstrap = self._names, self._bootstrap
        topics = (names.input_topic, names.finals_topic, names.late_topic, names.rejected_topic)
        ticks, finals, *side = (read(bootstrap, topic) for topic in topics)
        if self._options.repartition:
            places = check_copies(names.ticks_topic, read(bootstrap, names.ticks_topic), ticks, PARTITIONS, copied)
            side = [of_copies(names.ticks_topic, records, places, copied) for records in side]
            sent = as_sent(sent, ticks)
            ticks = as_arrived(ticks)
        return Topics(ticks, finals, *side), sent

    def _finish(self, verdict: Verdict, feed: Feed) -> Verdict:
        verdict.violations[:0] = self._fleet.problems
        for problem, times in feed.problems.items():
            self._say(f"the market's producer, {times} times: {problem}")
        return verdict

    def _say(self, line: str) -> None:
        self._report(f"{time.monotonic() - self._began:6.1f} s  {line}")

    def _report_fault(self, fault: Fault) -> None:
        self._say(f"#{fault.number} {fault.kind}: {fault.text}" + (" (and the next one at once)" if fault.overlaps else ""))

    def _report_problems(self) -> None:
        for problem in self._fleet.problems[self._reported :]:
            self._say(f"problem: {problem}")
        self._reported = len(self._fleet.problems)
