"""What the demo shows: progress, the newest bars, the accounting, and whether it adds up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.demo.market import SILENT, Kind
from app.display import bar_table, fit, utc, width_of
from app.settings import Settings
from tables.bars import Bar

NEWEST = 12
FRAME_LINES = 8  # around the bars, with the line of progress when it wraps


@dataclass
class Progress:
    """The state of a session: `sent` counts what the demo sent, `counters` are the worker's."""

    settings: Settings
    seed: int
    symbols: int
    web: str
    began: float = field(default_factory=time.monotonic)
    sent: Counter[Kind] = field(default_factory=Counter)
    counters: dict[str, int] = field(default_factory=dict)
    open_windows: int = 0
    bars: dict[tuple[str, str, int], Bar] = field(default_factory=dict)
    repeated: int = 0  # bars of a window that was published before
    first_bar: float | None = None  # seconds after the start

    def take_accounting(self, answer: dict[str, Any] | None) -> None:
        """Store an answer of /api/v1/accounting."""
        if answer is not None:
            self.counters = {k: int(v) for k, v in answer["total"].items()}
            self.open_windows = sum(p.get("open_windows", 0) for p in answer["partitions"].values())

    def take_bars(self, fresh: Iterable[Bar]) -> None:
        """Store bars as they are published."""
        for bar in fresh:
            if self.first_bar is None:
                self.first_bar = time.monotonic() - self.began
            key = (bar.broker, bar.symbol, bar.bucket_start)
            self.repeated += key in self.bars
            self.bars[key] = bar

    @property
    def total_sent(self) -> int:
        """Records sent."""
        return self.sent.total()

    @property
    def caught_up(self) -> bool:
        """Whether the worker has read everything that was sent and every window is closed."""
        return self.counters.get("read") == self.total_sent and self.open_windows == 0

    @property
    def silent_bar(self) -> Bar | None:
        """The last bar of the symbol that fell silent; None until elapsed time has closed it."""
        idle = [b for (broker, symbol, _), b in self.bars.items() if (broker, symbol) == SILENT and b.close_reason == "idle"]
        return max(idle, key=lambda b: b.bucket_start, default=None)

    def newest(self) -> list[Bar]:
        """The bars that closed last, the newest at the end."""
        return sorted(self.bars.values(), key=lambda b: (b.closed_at, b.broker, b.symbol))[-NEWEST:]

    def checks(self) -> dict[str, bool]:
        """Each statement of the accounting, and whether it holds for what was sent and published."""
        c = self.counters
        parts = ("binned", "late", "rejected", "heartbeats")
        return {
            "read = binned + late + rejected + heartbeats": bool(c) and c["read"] == sum(c[p] for p in parts),
            "read = sent": c.get("read") == self.total_sent,
            "rejected = broken ones sent": c.get("rejected") == self.sent[Kind.broken],
            "heartbeats = heartbeats sent": c.get("heartbeats") == self.sent[Kind.heartbeat],
            "every late one sent was found late": c.get("late", -1) >= self.sent[Kind.late],
            "ticks in the bars = binned": sum(b.ticks for b in self.bars.values()) == c.get("binned"),
            "no window twice, none lost": self.repeated == 0 and c.get("lost") == 0,
        }


def title(state: Progress) -> str:
    """The headline, which says that the market is synthetic."""
    s = state.settings
    return (
        f"barwheel demo: a SYNTHETIC market (seed {state.seed}), 3 brokers, {state.symbols} symbols, "
        f"bars of {s.size_text}, grace {s.text_of('grace')}"
    )


def view(state: Progress, console: Console) -> RenderableType:
    """What is shown while it runs: the newest bars, if they fit into the terminal, and the line of progress."""
    bars = _bars(state, f"final bars as they are published, the newest {NEWEST}", console)
    fits = width_of(bars, console) <= console.width and console.height > NEWEST + FRAME_LINES
    return Group(bars, line(state)) if state.bars and fits else line(state)


def _bars(state: Progress, title: str, console: Console) -> Table:
    """The newest bars; without a frame and the day of their start where the terminal is narrow."""
    made = bar_table(state.newest(), title)
    if width_of(made, console) > console.width:
        made = bar_table(state.newest(), title, dated=False)
        made.box, made.padding = None, (0, 1, 0, 0)
    return made


def line(state: Progress) -> RenderableType:
    """One line of progress, which fits into 80 columns."""
    c, took = state.counters, time.monotonic() - state.began
    if state.first_bar is None:
        return Text(f"{took:5.1f} s  sent {state.total_sent}  waiting for the first bar")
    return Text(
        f"{took:5.1f} s  sent {state.total_sent}  read {c.get('read', 0)}  late {c.get('late', 0)}  "
        f"rejected {c.get('rejected', 0)}  open {state.open_windows}  bars {len(state.bars)}"
    )


def summary(state: Progress, console: Console) -> RenderableType:
    """The result: newest bars, the silent symbol, the accounting."""
    first = "no bar came" if state.first_bar is None else f"the first bar came after {state.first_bar:.1f} s"
    return Group(
        fit(_bars(state, f"the newest of {len(state.bars)} final bars in {state.settings.finals_topic}", console), console),
        Text(),
        Text(first),
        Text(silent_text(state)),
        Text(),
        _accounting(state),
        *(Text(f"{'✓' if good else '✗'} {claim}") for claim, good in state.checks().items()),
    )


def silent_text(state: Progress) -> str:
    """Which bar of the silent symbol was closed by elapsed time."""
    bar = state.silent_bar
    name = "|".join(SILENT)
    if bar is None:
        return f"{name} has no bar closed by elapsed time yet"
    return (
        f"{name} fell silent: its bar of {utc(bar.bucket_start)} was closed by elapsed time, "
        f"{bar.closed_at - bar.bucket_end} ms after its end, without another tick"
    )


def _accounting(state: Progress) -> Table:
    c, sent = state.counters, state.sent
    made = Table(box=None, pad_edge=False)
    for name in ("", "worker", "sent by the demo"):
        made.add_column(name, justify="left" if not name else "right")
    ticks = sum(sent[k] for k in (Kind.tick, Kind.disorder, Kind.crossed))
    rows = (
        ("read", state.total_sent, "records"),
        ("binned", ticks, f"ticks, {sent[Kind.disorder]} of them out of order, {sent[Kind.crossed]} crossed"),
        ("late", sent[Kind.late], "a minute late"),
        ("rejected", sent[Kind.broken], "broken"),
        ("heartbeats", sent[Kind.heartbeat], "heartbeats"),
    )
    for name, number, what in rows:
        made.add_row(name, str(c.get(name, 0)), f"{number} {what}")
    return made


def as_data(state: Progress, *, ok: bool) -> dict[str, Any]:
    """The result as JSON data; prices are text, so that no digit is lost."""
    idle = state.silent_bar
    return {
        "synthetic": True,
        "seed": state.seed,
        "symbols": state.symbols,
        "window_size": state.settings.size_text,
        "grace": state.settings.text_of("grace"),
        "sent": {"total": state.total_sent, **{k.value: state.sent[k] for k in Kind}},
        "accounting": state.counters,
        "checks": state.checks(),
        "bars": len(state.bars),
        "first_bar_seconds": None if state.first_bar is None else round(state.first_bar, 2),
        "newest": [_bar(b) for b in state.newest()],
        "idle_bar": None if idle is None else _bar(idle),
        "web": state.web,
        "ok": ok,
    }


def _bar(bar: Bar) -> dict[str, Any]:
    prices = {name: f"{getattr(bar, name):f}" for name in ("open", "high", "low", "close")}
    rest = ("broker", "symbol", "bucket_start", "bucket_end", "ticks", "close_reason", "closed_at")
    return {**{name: getattr(bar, name) for name in rest}, **prices}
