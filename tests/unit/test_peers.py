"""The benchmark of the peers: its reference, what it counts, its bounds, and what it says of a peer that cannot run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.measure import Measured
from benchmarks.peers import installed, table
from benchmarks.peers.columns import Bars, Keys, Ticks
from benchmarks.peers.judge import Reference, Verdict
from benchmarks.peers.run import Found, Run
from benchmarks.peers.subjects import PEERS
from benchmarks.synthetic_ticks import PARTITIONS, START_MS, Market, generate
from tests.support.kafka_node import java_program

A, B = "alpha|SYM0", "alpha|SYM1"
MINUTE = 60_000


class Judge:
    """Ticks by hand, and bars of a peer against them."""

    def __init__(self, *ticks: tuple[str, int, str]) -> None:
        """`ticks`: key, ms since the start, bid; their order is their seq. Both keys are in one partition."""
        self.keys = Keys()
        noted = Ticks(self.keys)
        records = [
            (0, key.encode(), b'{"ts":%d,"bid":%s,"ask":9.9,"seq":%d}' % (START_MS + ms, bid.encode(), seq))
            for seq, (key, ms, bid) in enumerate(ticks)
        ]
        assert list(noted.noting(records)) == records  # they are passed on
        self.reference = Reference.of(noted)

    def __call__(self, *bars: tuple[str, int, str, str, str, str, int]) -> Verdict:
        """`bars`: key, minute, open, high, low, close, ticks."""
        read = Bars(self.keys, ours=False)
        form = b'{"key":"%s","start":%d,"open":%s,"high":%s,"low":%s,"close":%s,"ticks":%d}'
        read.add(
            form % (key.encode(), START_MS + minute * MINUTE, *(price.encode() for price in prices), ticks)
            for key, minute, *prices, ticks in bars
        )
        return self.reference.judge(read)


@pytest.fixture
def judge() -> Judge:
    # A has two ticks out of order in minute 0, B one; minute 1 stays open, though it has ticks
    return Judge((A, 2_000, "1.2"), (B, 10, "5.00000"), (A, 1_000, "1.3"), (A, 3_000, "1.1"), (B, MINUTE + 5_000, "6"))


RIGHT_A = (A, 0, "1.3", "1.3", "1.1", "1.1", 3)
RIGHT_B = (B, 0, "5", "5.0", "5", "5", 1)


def test_the_first_and_the_last_tick_by_time_make_open_and_close(judge: Judge) -> None:
    assert judge(RIGHT_A, RIGHT_B) == Verdict(due=2, right=2, wrong=0, missing=0, doubled=0)
    assert judge(RIGHT_A, RIGHT_B).flawless


def test_ticks_of_the_same_time_are_in_the_order_of_their_sending() -> None:
    judge = Judge((A, 5, "1.1"), (A, 5, "1.3"), (A, 5, "1.2"), (A, MINUTE + 5_000, "1"))
    assert judge((A, 0, "1.1", "1.3", "1.1", "1.2", 3)).flawless


@pytest.mark.parametrize("place", [2, 3, 4, 5, 6], ids=["open", "high", "low", "close", "ticks"])
def test_a_bar_that_differs_in_one_value_is_wrong(judge: Judge, place: int) -> None:
    bar = list(RIGHT_A)
    bar[place] = 4 if place == 6 else "1.25000000001"
    assert judge(tuple(bar), RIGHT_B) == Verdict(due=2, right=1, wrong=1, missing=0, doubled=0)  # type: ignore[arg-type]


def test_a_window_without_a_bar_is_missing(judge: Judge) -> None:
    assert judge(RIGHT_B) == Verdict(due=2, right=1, wrong=0, missing=1, doubled=0)


def test_no_bar_at_all_is_a_verdict_too(judge: Judge) -> None:
    assert judge() == Verdict(due=2, right=0, wrong=0, missing=2, doubled=0)


def test_a_second_bar_of_a_window_is_doubled_and_wrong_if_it_differs(judge: Judge) -> None:
    assert judge(RIGHT_A, RIGHT_B, RIGHT_A) == Verdict(due=2, right=2, wrong=0, missing=0, doubled=1)
    assert judge(RIGHT_A, RIGHT_B, (A, 0, "1.3", "1.3", "1.1", "1.2", 3)) == Verdict(2, 1, 1, 0, 1)
    assert not judge(RIGHT_A, RIGHT_B, RIGHT_A).flawless


def test_a_bar_of_a_window_or_key_without_ticks_is_wrong(judge: Judge) -> None:
    assert judge(RIGHT_A, RIGHT_B, (A, 7, "1", "1", "1", "1", 1)).wrong == 1
    assert judge(RIGHT_A, RIGHT_B, ("beta|SYM9", 0, "1", "1", "1", "1", 1)).wrong == 1


def test_a_window_that_the_ticks_do_not_close_is_not_judged(judge: Judge) -> None:
    assert judge(RIGHT_A, RIGHT_B, (B, 1, "7", "7", "7", "7", 99)) == judge(RIGHT_A, RIGHT_B)
    one_ms_less = Judge((A, 0, "1"), (A, MINUTE + 4_999, "1"))
    assert one_ms_less.reference.due_bars == 0


def test_a_window_counts_once_every_partition_has_passed_it() -> None:
    ticks = Ticks(Keys())
    rows = [(0, A, 0), (0, A, MINUTE + 5_000), (1, B, 0), (1, B, MINUTE)]
    for _ in ticks.noting((place, key.encode(), b'{"ts":%d,"bid":1}' % (START_MS + ms)) for place, key, ms in rows):
        pass
    assert Reference.of(ticks).due_bars == 0


def test_the_reference_of_the_market_has_the_windows_that_the_market_notes() -> None:
    market, ticks = Market("ticks", 20, 30_000), Ticks(Keys())
    partitions = {partition for partition, _, _ in ticks.noting(generate(market))}
    reference = Reference.of(ticks)
    assert len(partitions) == PARTITIONS
    assert len(reference.window) == market.most_bars
    assert reference.due_bars == market.fewest_bars  # each scope of this market is as far as the others
    assert reference.ticks.sum() == 30_000


def test_bars_of_barwheel_are_read_in_their_own_form(judge: Judge) -> None:
    read = Bars(judge.keys, ours=True)
    prices = b'"open":1.30000,"high":1.3,"low":1.1,"close":1.1,"ticks":3'
    read.add([b'{"broker":"alpha","symbol":"SYM0","bucket_start":%d,%s,"revision":0}' % (START_MS, prices)])
    assert judge.reference.judge(read) == Verdict(due=2, right=1, wrong=0, missing=1, doubled=0)


# ---- the table

FLAWLESS = Verdict(due=9, right=9, wrong=0, missing=0, doubled=0)


def a_run(peer: str, cpu_us: float, verdict: Verdict = FLAWLESS, ticks: int = 1_000_000) -> Run:
    return Run(peer, 1_000, ticks, Measured(500_000, cpu_us, 100), 120, verdict)


def shown(found: Found, peers: list[str]) -> str:
    console = Console(file=StringIO(), width=80)  # where there is no terminal
    table.show(table.summary(found, [1_000], peers), console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_bound_is_four_times_the_cpu_of_barwheel() -> None:
    peers = ["barwheel", "flink"]
    assert table.summary(Found([a_run("barwheel", 0.5), a_run("flink", 2.0)], {}), [1_000], peers)["kept"]
    assert not table.summary(Found([a_run("barwheel", 0.5), a_run("flink", 1.9)], {}), [1_000], peers)["kept"]


@pytest.mark.parametrize("verdict", [Verdict(9, 8, 1, 0, 0), Verdict(9, 8, 0, 1, 0), Verdict(9, 9, 0, 0, 1)])
def test_the_bound_of_right_bars_is_missed_by_one_bar_of_one_run(verdict: Verdict) -> None:
    runs = [a_run("barwheel", 0.5), a_run("barwheel", 0.5, verdict), a_run("csp", 2.0, Verdict(9, 0, 9, 0, 0))]
    assert not table.summary(Found(runs, {}), [1_000], ["barwheel", "csp"])["kept"]
    assert table.summary(Found([runs[0], runs[2]], {}), [1_000], ["barwheel", "csp"])["kept"]  # others may be wrong


def test_flink_that_was_asked_for_and_did_not_run_keeps_no_bound() -> None:
    found = Found([a_run("barwheel", 0.5)], {"flink": "Java 17 or newer is missing"})
    assert not table.summary(found, [1_000], ["barwheel", "flink"])["kept"]
    assert table.summary(found, [1_000], ["barwheel"])["kept"]
    text = shown(found, ["barwheel", "flink"])
    assert "not run: Java 17 or newer is missing" in text
    assert "not measured" in text


def test_medians_are_shown_beside_all_bars_of_all_runs() -> None:
    runs = [a_run("barwheel", us) for us in (0.4, 0.5, 0.9)] + [a_run("csp", 2.5, Verdict(9, 7, 1, 1, 0), 600_000)]
    text = shown(Found(runs, {}), ["barwheel", "csp"])
    ours, csp = (
        next(line.split() for line in text.splitlines() if line.startswith(f"  {name}")) for name in ("barwheel", "csp")
    )
    assert ours[1:] == ["0.50", "1.00", "500,000", "120", "27", "0", "0", "0"]
    assert csp[-8:] == ["2.50", "5.00", "500,000", "120", "7", "1", "1", "0"]
    assert f"{PEERS['csp'].label} read the first 600,000 ticks only" in text


def test_a_subject_that_was_through_between_two_looks_is_judged_without_rates() -> None:
    found = Found([a_run("barwheel", 0.5)._replace(measured=None), a_run("flink", 2.0)], {})
    result = table.summary(found, [1_000], ["barwheel", "flink"])
    assert result["results"][0]["subjects"]["barwheel"]["right"] == 9
    assert not result["kept"]
    assert "not measured" in shown(found, ["barwheel", "flink"])


# ---- what is not installed


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with an empty cache, whose only programs are those of the returned directory."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java_program.cache_clear()
    yield programs
    java_program.cache_clear()


@pytest.mark.parametrize("peer", ["flink", "flink-at-least-once", "streams"])
def test_without_java_the_jvm_peers_say_that_it_is_missing(bare: Path, peer: str) -> None:
    with pytest.raises(installed.NotInstalledError, match=r"^Java 17 or newer is missing$"):
        PEERS[peer].command()


def test_without_maven_the_jvm_peers_say_that_it_is_missing(bare: Path) -> None:
    (bare / "java").write_text("#!/bin/sh\necho 'version \"21.0\"'\n")
    (bare / "java").chmod(0o755)
    with pytest.raises(installed.NotInstalledError, match=r"^mvn, which fetches its jars, is missing$"):
        PEERS["flink"].command()


def test_without_a_compiler_a_jvm_peer_says_that_a_jdk_is_needed(bare: Path) -> None:
    (bare / "java").write_text("#!/bin/sh\necho 'version \"21.0\"'\n")
    (bare / "java").chmod(0o755)
    installed.jars_of("streams").mkdir(parents=True)
    with pytest.raises(installed.NotInstalledError, match=r"^javac is missing: a JDK is needed, not only a JRE$"):
        PEERS["streams"].command()
    assert [place.name for place in installed.jars_of("streams").parent.iterdir()] == [installed.jars_of("streams").name]


# ---- the command line and the page of versions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peers", "flink,storm"], "storm: must be among barwheel, barwheel-transactional, flink,"),
        (["--ticks", "20_000_001"], "20000001: must be between 1 and 20,000,000"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(options: list[str], message: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "peers", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_readme_of_the_peers_has_the_versions_that_are_installed() -> None:
    text = (installed.HERE / "README.md").read_text()
    poms = [("flink", "flink-clients"), ("flink", "flink-connector-kafka"), ("streams", "kafka-streams")]
    versions = [installed.jar_version(*pom) for pom in poms] + [installed.package_version(n) for n in ("csp", "quixstreams")]
    for version in versions:
        assert f"| {version} |" in text or f" {version} |" in text, version
